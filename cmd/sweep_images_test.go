package cmd_test

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// tinyImages is a sweep of Langevin on a few pictures of eight by eight.
func tinyImages(dir string, more ...string) []string {
	args := []string{"sweep", "ebm", "--only", "langevin", "--out", dir, "--jobs", "1"}
	for _, set := range []string{
		"data={name: fashion-mnist, path: " + must(filepath.Abs("../images/dataset/testdata/fashion-mnist")) + ", size: 8}",
		"model={energy: {channels: [4], patch: 2}, sampler: {steps: 1}, particles: 4, batch_size: 4, chains: {size: 8}}",
		"eval={extractor: none, every: 0, samples: 4, pictures: 0}",
		"updates=600", "log.every=100", "checkpoint.every=100", "engine.threads=1",
	} {
		args = append(args, "--set", set)
	}
	return append(args, more...)
}

// Ensure that a sweep of image models that is killed goes on where it was, to the
// figures of one that nothing happened to, and that its folder is enough for a report.
func TestSweepImagesKilled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs a sweep")
	}
	quiet, dir := filepath.Join(t.TempDir(), "quiet"), filepath.Join(t.TempDir(), "killed")
	const s1 = "ebm-langevin-s1"
	if o := finish(t, plainStein(tinyImages(quiet, "--seeds", "1,")...)); o.code != 0 || !strings.Contains(o.stdout, "1 done, 0 failed") {
		t.Fatalf("%+v", o)
	}
	killed(t, plainStein(tinyImages(dir, "--seeds", "2")...), func() bool { return there(dir, s1, "checkpoints", "step-000000100", "manifest.json") })
	if o := finish(t, plainStein("sweep", "--resume", dir, "--jobs", "1")); o.code != 0 || !strings.Contains(o.stdout, "2 done, 0 failed") {
		t.Fatalf("%+v", o)
	}
	if got := happened(t, dir, s1); !slices.Equal(got, []string{"began", "resumed", "done"}) {
		t.Errorf("%s: %v", s1, got)
	}
	if got, want := figures(t, filepath.Join(dir, s1)), figures(t, filepath.Join(quiet, s1)); !reflect.DeepEqual(got, want) { // a model resumes exactly
		t.Errorf("%s differs from the undisturbed one:\n%v\n%v", s1, got, want)
	}
	code, stdout, stderr := run(t, "report", dir, "--out", t.TempDir(), "--return", "energy/gap", "--json")
	got := decode[struct {
		End []struct {
			Env, Configuration string
			Runs               int
			Step               float64
		}
	}](t, stdout)
	if code != 0 || len(got.End) != 1 || got.End[0].Configuration != "ebm/langevin" || got.End[0].Runs != 2 || got.End[0].Step != 600 {
		t.Errorf("code %d, %+v, %s", code, got, stderr)
	}
}

// Ensure that a sweep of the folder ebm is the nine published models, each with every
// seed, at the size asked for.
func TestSweepOfImages(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a sweep")
	}
	code, stdout, stderr := run(t, "sweep", "ebm", "--seeds", "3", "--size", "paper", "--dry-run")
	names := strings.Fields(stdout)
	if code != 0 || len(names) != 27 || !slices.Contains(names, "ebm-met-sigma-eps-nobound-s2") || slices.Contains(names, "ebm-glow-likelihood-s0") {
		t.Errorf("code %d, %d trials %v, %s", code, len(names), names, stderr)
	}
	if code, _, stderr := run(t, "sweep", "ebm", "--size", "huge", "--dry-run"); code != 2 || !strings.Contains(stderr, "want tiny, small or paper") {
		t.Errorf("code %d, %s", code, stderr)
	}
}

// Ensure that image models train as tasks of a Ray cluster.
func TestSweepImagesOnRay(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Ray cluster")
	}
	needsPython(t, "ray")
	dir := filepath.Join(t.TempDir(), "sweep")
	o := finish(t, plainStein(tinyImages(dir, "--seeds", "2", "--ray", "local", "--runtime-env", runtimeEnv(t), "--set", "updates=200", "--jobs", "2")...))
	if o.code != 0 || !strings.Contains(o.stdout, "2 done, 0 failed") {
		t.Fatalf("%+v", o)
	}
	for _, trial := range []string{"ebm-langevin-s0", "ebm-langevin-s1"} {
		if steps := figures(t, filepath.Join(dir, trial))["energy/gap"][0]; len(steps) != 2 || steps[1] != 200 {
			t.Errorf("%s has records at %v", trial, steps)
		}
	}
}
