package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tinyPlan tunes Pendulum with small networks; of the settings one makes learning
// impossible.
const tinyPlan = `
config: pendulum/sac
seeds: 2
metric: rollout/ep_rew_mean
set:
  engine: {backend: "go:ops_sequential", threads: 1}
  steps: 800
  policy: {hidden: [8]}
  agent: {critic: {hidden: [8]}}
  schedule: {batch_size: 8, random_steps: 40, learning_starts: 40}
  replay.capacity: 1000
  eval: {every: 0, episodes: 1}
  log.every: 200
  checkpoint: {every: 200, exact: true}
space:
  agent.actor_lr: {low: 1e-4, high: 1e-2, log: true}
  schedule.train_every: {low: 8, high: 16, step: 4}
  policy.hidden: {choices: [[4], [8]]}
`

type tuned struct {
	Best   string
	Trials []struct {
		Number   int
		State    string
		Value    *float64
		Settings []string
	}
}

// Ensure that a study that is killed goes on: settings that were under way are not
// lost, and get the values of a study that nothing happened to.
func TestTuneKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a study")
	}
	needsPython(t, "optuna")
	dir := t.TempDir()
	plan := filepath.Join(dir, "tiny.yaml")
	if err := os.WriteFile(plan, []byte(tinyPlan), 0o644); err != nil {
		t.Fatal(err)
	}
	command := func(out string, more ...string) []string {
		return append([]string{"tune", plan, "--out", filepath.Join(dir, out), "--jobs", "2", "--trials", "3", "--json",
			"--sampler", "random", "--sampler-options", `{"seed": 1}`, "--pruner", "none"}, more...)
	}
	killed(t, plainStein(command("killed")...), func() bool { return there(dir, "killed", "t0001-s0", "checkpoints", "step-000000200") })
	after := finish(t, plainStein(command("killed")...))
	if after.code != 0 {
		t.Fatalf("%+v", after)
	}
	got := decode[tuned](t, after.stdout)
	if len(got.Trials) != 3 || !there(got.Best) {
		t.Fatalf("%+v", got)
	}
	resumed := 0
	for _, e := range journal(t, filepath.Join(dir, "killed")) {
		if e.Event == "resumed" {
			resumed++
		}
	}
	if resumed == 0 {
		t.Errorf("nothing was resumed: %+v", journal(t, filepath.Join(dir, "killed")))
	}
	for i, r := range got.Trials {
		if r.State != "complete" || r.Value == nil || len(r.Settings) != 3 || i > 0 && *r.Value > *got.Trials[i-1].Value {
			t.Errorf("trial %d: %+v", i, r)
		}
	}

	// The value is the mean over the seeds of the metric's last one.
	best, sum := got.Trials[0], 0.0
	for _, seed := range []string{"s0", "s1"} {
		returns := figures(t, filepath.Join(dir, "killed", "t000"+string(rune('0'+best.Number))+"-"+seed))["rollout/ep_rew_mean"][1]
		sum += returns[len(returns)-1]
	}
	if *best.Value != sum/2 {
		t.Errorf("value %g, of its seeds %g", *best.Value, sum/2)
	}
}

// Ensure that a trial that does worse than the others is ended early. Trials are looked at
// once a second, so these take longer.
func TestTunePruned(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs a study")
	}
	needsPython(t, "optuna")
	dir := t.TempDir()
	plan := filepath.Join(dir, "longer.yaml")
	if err := os.WriteFile(plan, []byte(strings.Replace(tinyPlan, "steps: 800", "steps: 8000", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	got := finish(t, plainStein("tune", plan, "--out", filepath.Join(dir, "study"), "--jobs", "2", "--trials", "4", "--json",
		"--sampler", "random", "--sampler-options", `{"seed": 1}`, "--pruner", "percentile", "--pruner-options",
		`{"percentile": 0.1, "n_startup_trials": 1, "n_warmup_steps": 100}`))
	pruned := 0
	for _, r := range decode[tuned](t, got.stdout).Trials {
		if r.State == "pruned" {
			pruned++
		}
	}
	if got.code != 0 || pruned == 0 {
		t.Errorf("%d pruned: %+v", pruned, got)
	}
}

// Ensure that what makes no sense is said before anything starts.
func TestTuneUsage(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"config: pendulum/sac": "want config: NAME and a space",
		"config: pendulum/sac\nspace: {agent.gama: {low: 0.9, high: 0.99}}":        "did you mean gamma?",
		"config: pendulum/sac\nspace: {agent.gamma: {low: 0.9}}":                   "want low and high, or choices",
		"config: pendulum/sac\nspace: {agent.gamma: {low: 1, high: 0}}":            "want low below high",
		"config: pendulum/sac\nspace: {agent.gamma: {low: 0.9, high: 1.5}}":        "agent.gamma",
		"config: pendulum/sac\nspce: {}":                                           "spce",
		"config: pendulum/sca\nspace: {agent.gamma: {low: 0.9, high: 0.99}}":       "did you mean pendulum/sac?",
		"config: pendulum/sac\nspace: {agent.gamma: {low: 0.9, high: x, log: no}}": "is not a number",
	} {
		plan := filepath.Join(dir, "p.yaml")
		if err := os.WriteFile(plan, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := run(t, "tune", plan); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: code %d, %q, want %q", text, code, stderr, want)
		}
	}
}
