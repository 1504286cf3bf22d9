package optuna_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/python"
	"github.com/stein-rl/stein/study"
	"github.com/stein-rl/stein/study/optuna"
)

func plan(t *testing.T, text string) (optuna.Plan, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return optuna.ReadPlan(file, experiments.Builtin())
}

// Ensure that settings are judged by the return of evaluations, an image model's by its
// distance, the lower the better, unless the plan says otherwise.
func TestPlanIsJudgedByItsKind(t *testing.T) {
	for text, want := range map[string]struct {
		metric   string
		minimize bool
	}{
		"config: pendulum/sac\nspace: {agent.gamma: {low: 0.9, high: 0.99}}":                                                     {"eval/mean_reward", false},
		"config: ebm/met-lc\nspace: {model.energy_lr: {low: 1e-5, high: 1e-3, log: true}}":                                       {"eval/fd_e0", true},
		"config: ebm/met-lc\nset: {eval.extractor: inception}\nspace: {model.energy_lr: {low: 1e-5, high: 1e-3}}":                {"eval/fid", true},
		"config: ebm/met-lc\nmetric: energy/gap\nset: {eval.extractor: none}\nspace: {model.energy_lr: {low: 1e-5, high: 1e-3}}": {"energy/gap", false},
		"config: pendulum/sac\nmetric: train/critic_loss\nminimize: true\nspace: {policy.hidden: {choices: [[8], [16]]}}":        {"train/critic_loss", true},
	} {
		p, err := plan(t, text)
		if err != nil || p.Metric != want.metric || p.Minimize != want.minimize {
			t.Errorf("%s\nis judged by %s, minimize %v, %v; want %+v", text, p.Metric, p.Minimize, err, want)
		}
	}
	if _, err := plan(t, "config: ebm/met-lc\nset: {eval.extractor: none}\nspace: {model.energy_lr: {low: 1e-5, high: 1e-3}}"); err == nil || !strings.Contains(err.Error(), "metric is missing") {
		t.Errorf("nothing is measured: %v", err)
	}
}

// Ensure that a study lies in its folder, whatever that is called, that settings are
// within their space, that one which recorded nothing has failed, and that the study goes
// on after it was closed.
func TestStudyInOddFolder(t *testing.T) {
	interpreter, err := python.Find("")
	if err == nil {
		err = exec.Command(interpreter, "-c", "import optuna").Run()
	}
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("no optuna here: %v", err)
	}
	p, err := plan(t, "config: pendulum/sac\nseeds: [4]\nspace: {agent.gamma: {low: 0.9, high: 0.99}, policy.hidden: {choices: [[8], [16]]}}")
	if err != nil {
		t.Fatal(err)
	}
	above := t.TempDir()
	dir := filepath.Join(above, "50% of #3 a?b=c {x}")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o := optuna.Options{Plan: p, Catalog: experiments.Builtin(), Dir: dir, Trials: 2, Sampler: "random", Pruner: "none", Log: io.Discard}
	for number := range 2 {
		s, err := optuna.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		trial, ok, err := s.Next(t.Context())
		if err != nil || !ok || trial.Seed != 4 || len(trial.Sets) != 2 || !strings.HasPrefix(trial.Sets[0], "agent.gamma=0.9") {
			t.Fatalf("%+v, %v, %v", trial, ok, err)
		}
		if err := s.Ended(t.Context(), study.Status{Trial: trial, State: study.Done}); err != nil {
			t.Fatal(err)
		}
		results, err := s.Results(t.Context())
		if err != nil || len(results) != number+1 || results[0].State != "fail" || results[0].Value != nil {
			t.Errorf("%+v, %v", results, err)
		}
		if _, more, err := s.Next(t.Context()); err != nil || more != (number == 0) {
			t.Errorf("after %d of 2: %v, %v", number+1, more, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		o.Trials = 2
		if number == 0 { // what was asked for and never told is handed out again
			again, err := optuna.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if trial, ok, err := again.Next(t.Context()); err != nil || !ok || trial.Name != "t0001-s4" {
				t.Errorf("%+v, %v, %v", trial, ok, err)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	files, _ := os.ReadDir(above)
	if _, err := os.Stat(filepath.Join(dir, "study.db")); err != nil || len(files) != 1 {
		t.Errorf("%v, and beside the folder %v", err, files)
	}
}
