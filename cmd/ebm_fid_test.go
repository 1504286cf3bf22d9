package cmd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/fid"
	"github.com/stein-rl/stein/internal/picture"
)

// Ensure that a folder of pictures is compared with a data set, that the answer says by
// which distance, and that what is missing is a mistake of usage.
func TestEBMFID(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a feature network")
	}
	t.Chdir("..") // where .venv is
	const fashion = "images/dataset/testdata/fashion-mnist"
	m, err := dataset.Open(t.Context(), dataset.Source{Name: "fashion-mnist", Path: fashion, Split: "test"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, name := range []string{"a.png", "b.png", "c.png", "d.png"} {
		data, err := picture.EncodePNG(m.Picture(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := run(t, "ebm", "fid", dir, "--data", "fashion-mnist", "--data-path", fashion,
		"--split", "test", "--reference", "4", "--no-cache", "--json")
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	var report fid.Score
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	// The same four pictures: the distance is that of rounding.
	if report.Metric != "FD-E0" || report.N != 4 || report.Reference != 4 || report.Frechet > 1e-3 || report.Frechet < -1e-3 {
		t.Errorf("%+v", report)
	}
	for _, args := range [][]string{{"ebm", "fid", dir}, {"ebm", "fid", dir, "--data", "fashion-mnist", "--n", "1"}} {
		if code, _, stderr := run(t, args...); code != 2 || !strings.Contains(stderr, "--") {
			t.Errorf("%v: code %d, %s", args, code, stderr)
		}
	}
}

// Ensure that samples of a run are drawn and compared with the pictures that the run
// learnt from, the same ones for the same seed.
func TestEBMFIDOfRun(t *testing.T) {
	if testing.Short() {
		t.Skip("trains an image model")
	}
	t.Chdir("..") // where .venv is
	dir := filepath.Join(t.TempDir(), "run")
	code, _, stderr := run(t, "ebm", "train", "--config", "langevin", "--run-dir", dir, "--seed", "3",
		"--set", "data={name: fashion-mnist, path: images/dataset/testdata/fashion-mnist, size: 8}",
		"--set", "model.energy={channels: [4], patch: 2}", "--set", "model.sampler.steps=1",
		"--set", "model={particles: 4, batch_size: 4, chains: {size: 8}}",
		"--set", "eval={extractor: none, every: 0, samples: 4, pictures: 0}", "--set", "updates=2")
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	measured := func() (score fid.Score) {
		code, stdout, stderr := run(t, "ebm", "fid", dir, "--n", "6", "--reference", "6", "--seed", "5", "--no-cache", "--json")
		if code != 0 {
			t.Fatalf("code %d: %s", code, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), &score); err != nil {
			t.Fatal(err)
		}
		return score
	}
	one := measured()
	if one.Metric != "FD-E0" || one.N != 6 || one.Reference != 6 || !(one.Frechet > 1) {
		t.Errorf("%+v: six samples of a model that has learnt nothing, beside six pictures", one)
	}
	if again := measured(); again.Frechet != one.Frechet {
		t.Errorf("seed 5 is %g away, and then %g", one.Frechet, again.Frechet)
	}
}
