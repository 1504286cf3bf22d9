package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/gif"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/experiments"
)

func sample(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newSampleCmd()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.Execute()
	return out.String(), err
}

// Ensure that a run prints its figures and writes both pictures.
func TestSample(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles graphs with XLA")
	}
	dir := t.TempDir()
	still, movie := filepath.Join(dir, "out.png"), filepath.Join(dir, "out.gif")
	out, err := sample(t, "--target", "gmm2", "--sampler", "met-svgd", "--steps", "3", "--particles", "12", "--systems", "4",
		"--fit", "3", "--plot", still, "--gif", movie, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var report sampleReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if report.Entropy == nil || report.EntropyError == nil || math.Abs(report.ExactEntropy-2.812) > 0.001 || report.Accepted != nil {
		t.Errorf("%+v", report)
	}
	file, err := os.Open(still)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := png.Decode(file); err != nil {
		t.Error(err)
	}
	film, err := os.Open(movie)
	if err != nil {
		t.Fatal(err)
	}
	defer film.Close()
	if g, err := gif.DecodeAll(film); err != nil || len(g.Image) != 4 {
		t.Errorf("%v, want 4 frames", err)
	}
}

// Ensure that a sampler without a density says so instead of a number.
func TestSampleTable(t *testing.T) {
	out, err := sample(t, "--target", "ring", "--sampler", "mala", "--steps", "3", "--particles", "12", "--systems", "2")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"this sampler has no density", "exact entropy", "accepted"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// Ensure that what makes no sense is the user's error and lists what does.
func TestSampleErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--target", "gmm5"}, "gaussian, gaussian-full, gmm2, gmm4, ring, box"},
		{[]string{"--sampler", "hmc"}, "svgd, p-svgd, met-svgd, met-mh, ula, mala"},
		{[]string{"--steps", "0"}, "steps 0: want at least 1"},
		{[]string{"--target", "gaussian", "--dim", "1", "--plot", "x.png"}, "want at least 2"},
		{[]string{"--target", "ring", "--dim", "3"}, "want 2"},
		{[]string{"--sampler", "mala", "--exact-density"}, "no density"},
		{[]string{"--sampler", "p-svgd", "--particles", "1"}, "want at least 2"},
	} {
		_, err := sample(t, c.args...)
		var usage usageError
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &usage) {
			t.Errorf("%v: error %v, want a usage error with %q", c.args, err, c.want)
		}
	}
}

// Ensure that a command which can't be interrupted says what is awaited, once.
func TestTellWaiting(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles graphs with XLA")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	code := Execute(ctx, experiments.Builtin(), []string{"sample", "--sampler", "svgd", "--systems", "2"}, &out, &errs)
	if n := strings.Count(errs.String(), "a second signal ends at once"); code != 0 || n != 1 {
		t.Errorf("code %d; told %d times: %s", code, n, errs.String())
	}
	errs.Reset()
	Execute(ctx, experiments.Builtin(), []string{"version"}, &out, &errs)
	if errs.Len() > 0 {
		t.Errorf("a command that ends at once says %s", errs.String())
	}
}
