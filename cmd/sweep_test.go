package cmd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"github.com/stein-rl/stein/runs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A sweep's line of the journal.
type event struct {
	Trial, Event string
	Attempt      int
	Step         int64
	Code         int
	Node, Why    string
}

func journal(t *testing.T, dir string) []event {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "journal.jsonl"))
	if err != nil {
		return nil // not begun yet
	}
	var all []event
	for line := range bytes.Lines(data) {
		if bytes.HasSuffix(line, []byte("\n")) {
			all = append(all, decode[event](t, string(line)))
		}
	}
	return all
}

// happened lists what the journal says of a trial.
func happened(t *testing.T, dir, trial string) (events []string) {
	t.Helper()
	for _, e := range journal(t, dir) {
		if e.Trial == trial {
			events = append(events, e.Event)
		}
	}
	return events
}

// tinySweep is a sweep of Pendulum with small networks.
func tinySweep(dir string, more ...string) []string {
	args := []string{"sweep", "pendulum/sac", "--out", dir, "--jobs", "1"}
	for _, set := range []string{
		"engine.backend=go:ops_sequential", // compiles at once
		"steps=1000", "engine.threads=1", "policy={hidden: [16]}", "agent={critic: {hidden: [16]}}", "schedule={batch_size: 16, random_steps: 40, learning_starts: 40}",
		"replay.capacity=1000", "eval={every: 500, episodes: 1}", "log.every=50", "checkpoint.every=100",
	} {
		args = append(args, "--set", set)
	}
	return append(args, more...)
}

// killed runs a sweep until something is so, and then kills it as a crash of the
// machine would.
func killed(t *testing.T, c *exec.Cmd, when func() bool) {
	t.Helper()
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); !when(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			_ = c.Process.Kill()
			t.Fatalf("nothing within %v; %s", patience, errs.String())
		}
	}
	if err := c.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, c); err == nil {
		t.Fatalf("the sweep had ended already: %s", errs.String())
	}
}

func there(path ...string) bool {
	_, err := os.Stat(filepath.Join(path...))
	return err == nil
}

// Ensure that a sweep that is killed goes on where it was: what was done is not
// touched, what had a checkpoint is resumed from it, what had none is made anew, and
// the results are those of a sweep that nothing happened to. (A resumed run is equal
// up to its checkpoint: environments begin new episodes there.)
func TestSweepKilled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs a sweep")
	}
	quiet, dir := filepath.Join(t.TempDir(), "quiet"), filepath.Join(t.TempDir(), "killed")
	const s0, s1, s2 = "pendulum-sac-s0", "pendulum-sac-s1", "pendulum-sac-s2"
	if o := finish(t, stein(tinySweep(quiet, "--seeds", "1,2", "--jobs", "2")...)); o.code != 0 || !strings.Contains(o.stdout, "2 done, 0 failed") {
		t.Fatalf("%+v", o)
	}

	killed(t, stein(tinySweep(dir, "--seeds", "3")...), func() bool { return there(dir, s1, "checkpoints", "step-000000100") })
	if got := happened(t, dir, s1); !slices.Equal(got, []string{"began"}) || there(dir, s2) {
		t.Fatalf("it was killed too late: %v", journal(t, dir))
	}
	before, err := os.ReadFile(filepath.Join(dir, s0, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	killed(t, stein("sweep", "--resume", dir, "--jobs", "1"), func() bool { return there(dir, s2, "config.yaml") })
	if there(dir, s2, "checkpoints", "step-000000100") {
		t.Fatal("it was killed too late")
	}
	last := finish(t, stein(tinySweep(dir, "--seeds", "3")...)) // the same command goes on too
	if last.code != 0 || !strings.Contains(last.stdout, "3 done, 0 failed") {
		t.Fatalf("%+v", last)
	}

	if after, err := os.ReadFile(filepath.Join(dir, s0, "run.json")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the trial that was done was touched: %v", err)
	}
	for trial, want := range map[string][]string{s0: {"began", "done"}, s1: {"began", "resumed", "done"}, s2: {"began", "began", "done"}} {
		if got := happened(t, dir, trial); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", trial, got, want)
		}
	}
	if got, want := figures(t, filepath.Join(dir, s2)), figures(t, filepath.Join(quiet, s2)); !reflect.DeepEqual(got, want) {
		t.Errorf("%s differs from the undisturbed one:\n%v\n%v", s2, got, want)
	}
	info := must(runs.ReadInfo(filepath.Join(dir, s1)))
	if len(info.Sessions) != 2 || info.Sessions[1].FromStep < 100 {
		t.Fatalf("sessions %+v", info.Sessions)
	}
	testSameUpTo(t, filepath.Join(dir, s1), filepath.Join(quiet, s1), float64(info.Sessions[1].FromStep))

	events := len(journal(t, dir))
	if o := finish(t, stein("sweep", "--resume", dir)); o.code != 0 || len(journal(t, dir)) != events {
		t.Errorf("a sweep that is done did something: %+v", o)
	}
	wantLine(t, finish(t, stein(tinySweep(dir, "--seeds", "3", "--set", "steps=900")...)), 1, "was planned with another configuration")
}

// testSameUpTo wants all figures of two runs to be equal up to a step, and the first
// to have come to its end.
func testSameUpTo(t *testing.T, dir, other string, step float64) {
	t.Helper()
	a, b := figures(t, dir), figures(t, other)
	for name := range b {
		for i, at := range b[name][0] {
			if at > step {
				break
			}
			if a[name][0][i] != at || a[name][1][i] != b[name][1][i] {
				t.Errorf("%s at step %g: %g, undisturbed %g", name, at, a[name][1][i], b[name][1][i])
			}
		}
	}
	if losses := a["train/critic_loss"][0]; losses[len(losses)-1] != 1000 {
		t.Errorf("losses at steps %v, want to 1000", losses)
	}
}

// Ensure that a trial that fails is tried again from its checkpoint, that one that
// keeps failing is reported with its reason, and costs the others nothing.
func TestSweepFailures(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a sweep")
	}
	dir := t.TempDir()
	matrix := filepath.Join(dir, "m.yaml")
	if err := os.WriteFile(matrix, []byte(`
configs: [pendulum/sac]
set:
  engine.backend: "go:ops_sequential"
  steps: 100
  env.id: faulty:Faulty-v0
  eval: {every: 0, episodes: 1}
  policy: {hidden: [16]}
  agent: {critic: {hidden: [16]}}
  schedule: {batch_size: 16, random_steps: 40, learning_starts: 40}
grid:
  env.kwargs: [{mode: raise, after: 20}, {mode: raise, after: 70}]
`), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "sweep")
	o := finish(t, stein("sweep", matrix, "--out", out, "--jobs", "2", "--retries", "1"))
	wantLine(t, o, 1, "1 of 2 trials failed")
	if !strings.Contains(o.stdout, "1 done, 1 failed") || !strings.Contains(o.stdout, "the leg came off") {
		t.Errorf("%s", o.stdout)
	}
	var failures, ends []event
	for _, e := range journal(t, out) {
		switch e.Event {
		case "failed":
			failures = append(failures, e)
		case "done":
			ends = append(ends, e)
		}
	}
	if len(failures) != 3 || len(ends) != 1 || ends[0].Attempt != 2 || !strings.Contains(failures[0].Why, "the leg came off") {
		t.Errorf("%+v, %+v", failures, ends)
	}
}

// Ensure that a trial whose settings fit neither its images nor its learner fails at once,
// with the reason and code 2, and costs the others nothing.
func TestSweepRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a sweep")
	}
	dir := t.TempDir()
	matrix := filepath.Join(dir, "m.yaml")
	if err := os.WriteFile(matrix, fmt.Appendf(nil, `
configs: [ebm/glow]
set:
  data: {name: fashion-mnist, path: %q, size: 14}
  model: {energy: {channels: [4], patch: 2}, initial: {steps: 1, hidden: 4}, particles: 4, batch_size: 4}
  eval: {extractor: none, every: 0, samples: 4, pictures: 0}
  updates: 2
  engine.threads: 1
grid:
  model.initial.levels: [1, 2]
`, must(filepath.Abs("../images/dataset/testdata/fashion-mnist"))), 0o644); err != nil {
		t.Fatal(err)
	}
	images, agents := filepath.Join(dir, "images"), filepath.Join(dir, "agents")
	for out, c := range map[string]struct {
		sweep     *exec.Cmd
		ends, why string
	}{
		images: {plainStein("sweep", matrix, "--out", images, "--jobs", "1"), "1 done, 1 failed", "Glow with 2 levels on 14×14 images: both sides must be multiples of 4"},
		agents: {stein(tinySweep(agents, "--set", "agent={critic: {norm: batch}, tau: null}", "--set", "schedule.batch_size=1")...), "0 done, 1 failed", "batch normalisation needs at least 2 transitions"},
	} {
		o := finish(t, c.sweep)
		if o.code != 1 || !strings.Contains(o.stdout, c.ends) || !strings.Contains(o.stdout, "1 attempt: ") || !strings.Contains(o.stdout, c.why) {
			t.Errorf("%+v", o)
		}
		var failures []event
		for _, e := range journal(t, out) {
			if e.Event == "failed" {
				failures = append(failures, e)
			}
		}
		if len(failures) != 1 || failures[0].Code != 2 || failures[0].Attempt != 1 || !strings.Contains(failures[0].Why, c.why) {
			t.Errorf("%s: %+v", out, failures)
		}
	}
}

// Ensure that a signal has every trial write a checkpoint, and is no failure.
func TestSweepInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a sweep")
	}
	dir := filepath.Join(t.TempDir(), "sweep")
	c := stein(tinySweep(dir, "--seeds", "2", "--set", "steps=1000000")...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "pendulum-sac-s0")
	waitForStep(t, run, 50, &errs)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, c); err != nil {
		t.Fatalf("%v, %s", err, errs.String())
	}
	if !strings.Contains(out.String(), "0 done, 0 failed, 2 to go") || !strings.Contains(out.String(), "stein sweep --resume "+dir) {
		t.Errorf("%s", out.String())
	}
	if got := happened(t, dir, "pendulum-sac-s0"); !slices.Equal(got, []string{"began", "stopped"}) || there(dir, "pendulum-sac-s1") {
		t.Errorf("%v", journal(t, dir))
	}
	if saved, _ := filepath.Glob(filepath.Join(run, "checkpoints", "step-*")); len(saved) == 0 {
		t.Error("no checkpoint")
	}
}

// Ensure that what makes no sense is code 2 and nothing is made.
func TestSweepUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for args, want := range map[string]string{
		"sweep":                               "want a folder of configurations",
		"sweep walkr2d":                       "unknown configuration",
		"sweep walker2d --only ppo":           "--only ppo matches none",
		"sweep walker2d --seeds x":            `seeds "x"`,
		"sweep walker2d --set agent.gama=1":   "did you mean gamma?",
		"sweep --resume nowhere":              "is not a sweep's folder",
		"sweep walker2d --resume x":           "omit NAME",
		"sweep walker2d --jobs -1":            "--jobs -1",
		"report":                              "got no argument; want stein report RUNS…",
		"report x --resamples 0":              "--resamples 0: want 1 to 100,000",
		"sweep pendulum/sac --seeds 2 --jbos": "did you mean --jobs?",
		"sweep hopper a.yaml":                 "a.yaml beside other arguments",
	} {
		if code, stdout, stderr := run(t, strings.Fields(args)...); code != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("stein %s: code %d, %q, %q", args, code, stdout, stderr)
		}
	}
	if left, _ := os.ReadDir("."); len(left) != 0 {
		t.Errorf("%v was made", left)
	}
	code, stdout, _ := run(t, "sweep", "walker2d", "--only", "met-mh-m*", "--dry-run")
	if want := "walker2d-met-mh-m10-s0\nwalker2d-met-mh-m64-s0\n"; code != 0 || stdout != want {
		t.Errorf("code %d, %q, want %q", code, stdout, want)
	}
	code, stdout, _ = run(t, "sweep", "pendulum/td3", "hopper/sac", "pendulum/td3", "--dry-run")
	if want := "pendulum-td3-s0\nhopper-sac-s0\n"; code != 0 || stdout != want {
		t.Errorf("code %d, %q, want %q: several names, each once", code, stdout, want)
	}
}

// Ensure that a sweep's folder is enough for a report.
func TestReport(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a sweep")
	}
	dir := t.TempDir()
	o := finish(t, stein(tinySweep(filepath.Join(dir, "sweep"), "--set", "steps=500")...))
	if o.code != 0 {
		t.Fatalf("%+v", o)
	}
	code, stdout, stderr := run(t, "report", filepath.Join(dir, "sweep"), "--out", filepath.Join(dir, "report"), "--json")
	var got struct {
		Page  string
		Files []string
		End   []struct {
			Env, Configuration string
			Step               float64
			IQM                struct{ Value float64 }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); code != 0 || err != nil {
		t.Fatalf("code %d, %v, %s", code, err, stderr)
	}
	if len(got.End) != 1 || got.End[0].Configuration != "pendulum/sac" || got.End[0].Step != 500 || !there(got.Page) {
		t.Errorf("%+v", got)
	}
	last := figures(t, filepath.Join(dir, "sweep", "pendulum-sac-s0"))["eval/mean_reward"][1]
	if fmt.Sprint(got.End[0].IQM.Value) != fmt.Sprint(last[len(last)-1]) {
		t.Errorf("IQM %g of one run that came to %v", got.End[0].IQM.Value, last)
	}
}
