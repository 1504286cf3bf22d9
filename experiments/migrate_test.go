package experiments

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/sampler"
)

// Ensure that names of version 1 are read wherever a setting is given, with one line
// that says their new ones, and that a setting given by both names is refused.
func TestOldNames(t *testing.T) {
	var told []string
	catalog := Builtin()
	catalog.Warn = func(text string) { told = append(told, text) }
	path := filepath.Join(t.TempDir(), "old.yaml")
	text := "version: 1\nextends: [pendulum/sac]\nagent:\n  gamma: 0.5\n  batch_size: 17\n  random_steps: 18\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := catalog.Resolve(path, []string{"agent.train_every=3", "agent={update_to_data: 0.5}"})
	if err != nil {
		t.Fatal(err)
	}
	s := cfg.Schedule
	if s.BatchSize != 17 || s.RandomSteps != 18 || s.TrainEvery != 3 || s.UpdateToData != 0.5 || cfg.Agent.Value.(sac.Config).Gamma != 0.5 || cfg.Version != Version {
		t.Errorf("%+v", cfg)
	}
	if len(told) != 1 {
		t.Fatalf("told %q", told)
	}
	for _, want := range []string{
		"agent.batch_size is now schedule.batch_size (" + path + ":5)", "agent.random_steps is now", "agent.train_every is now schedule.train_every (--set agent.train_every=3)", "agent.update_to_data",
	} {
		if !strings.Contains(told[0], want) {
			t.Errorf("%q does not say %q", told[0], want)
		}
	}
	told = nil
	if _, err := catalog.Resolve("pendulum/sac", []string{"schedule.train_every=3"}); err != nil || len(told) > 0 {
		t.Errorf("%v, told %q", err, told)
	}
	for _, c := range []struct {
		text string
		want string
	}{
		{"version: 1\nextends: [pendulum/sac]\nagent: {batch_size: 17}\nschedule: {batch_size: 18}", "schedule.batch_size: given twice"},
		{"version: 1\nextends: [pendulum/sac]\nagent: {batch_size: 17}\nschedule: 3", "schedule: want settings"},
		{"extends: [pendulum/sac]\nagent: {batch_size: 0}", path + ":2: schedule.batch_size: 0: want >= 1"},
		{"version: 3\nextends: [pendulum/sac]", "version: 3 is newer"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := catalog.Resolve(path, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n%v, want %s", c.text, err, c.want)
		}
	}
}

// Ensure that run folders of version 1 are evaluated as the program that wrote them
// did, and are trained on. testdata/version1 was made by that program, with
//
//	stein train --config pendulum/sac --seed 3 --steps 60 --no-save-replay --set normalize.obs=true …
//
// The returns are of episodes whose seeds have 31 bits. That program handed out 62: with
// those, both programs gave -1073.99616 and -1234.55094, -1189.79951 and -1192.33982.
func TestVersion1Runs(t *testing.T) {
	for _, c := range []struct {
		run     string
		returns []float64 // of stein eval --episodes 2 --set engine.backend=go:ops_sequential
	}{
		{"pendulum-sac", []float64{-1704.8196, -975.66545}},
		{"pendulum-p-svgd", []float64{-1673.104, -1302.75088}},
	} {
		t.Run(c.run, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), c.run)
			if err := os.CopyFS(dir, os.DirFS("testdata/version1/"+c.run)); err != nil {
				t.Fatal(err)
			}
			var told []string
			catalog := Builtin()
			catalog.Warn = func(text string) { told = append(told, text) }
			log := slog.New(slog.DiscardHandler)
			quick := []string{"engine.backend=" + engine.PureGo} // it has less to compile
			mark, err := catalog.Evaluate(t.Context(), Exam{Dir: dir, Episodes: 2, Sets: quick, Log: log})
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range c.returns {
				if math.Abs(mark.Returns[i]-want) > 0.1 {
					t.Errorf("return %g of episode %d, want %g", mark.Returns[i], i, want)
				}
			}
			if len(told) != 1 || !strings.Contains(told[0], "agent.batch_size is now schedule.batch_size") {
				t.Errorf("told %q", told)
			}

			cfg, err := catalog.Reread(dir, append(quick, "steps=80", "schedule={learning_starts: 0, train_every: 4, fused_updates: 4}", "eval.every=0"))
			if err != nil {
				t.Fatal(err)
			}
			folder, err := runs.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			result, err := Training{Config: cfg, Folder: folder, Resume: true, Log: log}.Train(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if result.Step != 80 || !(result.Last["train/n_updates"] > 40) {
				t.Errorf("%+v", result)
			}
			again, err := Builtin().Reread(dir, nil)
			if err != nil || again.Version != Version || again.Schedule.BatchSize != 8 {
				t.Errorf("saved as %+v, %v", again, err)
			}
		})
	}
}

// Ensure that a configuration that version 1 wrote with the keys of every kind of scale
// is read with those of its own, and that the same keys are errors in a person's file.
func TestRecordedKeysOfOtherKinds(t *testing.T) {
	text, err := os.ReadFile("testdata/version1/met-sigma.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := Builtin().Reread(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.Policy.Value.(policies.Stein).Sampler
	if want := (sampler.ScaleConfig{Kind: "fixed", Value: 0.1}); !reflect.DeepEqual(got.StepSize, want) {
		t.Errorf("step size %+v, want %+v", got.StepSize, want)
	}
	if want := (sampler.ScaleConfig{Kind: "network", Value: 1, Min: 0.05, Max: 5, Hidden: []int{64, 64}}); !reflect.DeepEqual(got.Bandwidth, want) {
		t.Errorf("bandwidth %+v, want %+v", got.Bandwidth, want)
	}
	_, err = Builtin().Resolve("walker2d/met-sigma", []string{"policy.sampler.step_size.hidden=[8]"})
	if err == nil || !strings.Contains(err.Error(), "kind fixed has no hidden (network has)") {
		t.Errorf("error %v", err)
	}
}
