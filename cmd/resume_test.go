package cmd_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Ensure that a run with all its steps is no failure to resume, and stays as it is; that
// fewer steps than it has are refused; and that more of them tell what becomes of a
// schedule.
func TestResumeFinished(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	dir := filepath.Join(t.TempDir(), "run")
	quick := []string{"--backend", "go:ops_sequential", "--steps", "100", "--eval-freq", "0", "--eval-episodes", "1", "--set", "agent.lr_schedule=linear"}
	if o := train(t, dir, quick...); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	kept := func() (all []byte) {
		for _, name := range []string{"run.json", "config.yaml", "metrics.csv"} {
			all = append(all, must(os.ReadFile(filepath.Join(dir, name)))...)
		}
		return all
	}
	before := kept()
	o := finish(t, stein("train", "--resume", dir))
	if o.code != 0 || !strings.Contains(o.stdout, "already has its 100 steps") || !bytes.Equal(kept(), before) {
		t.Errorf("%+v", o)
	}
	o = finish(t, stein("train", "--resume", dir, "--json"))
	if got := decode[struct {
		AlreadyDone bool `json:"already_done"`
		Step        int64
	}](t, o.stdout); o.code != 0 || !got.AlreadyDone || got.Step != 100 {
		t.Errorf("%+v, %+v", got, o)
	}
	o = finish(t, stein("train", "--resume", dir, "--steps", "50"))
	if o.code != 1 || !strings.Contains(o.stderr, "already has 100 steps, more than the requested 50") || !bytes.Equal(kept(), before) {
		t.Errorf("%+v", o)
	}
	o = finish(t, stein("train", "--resume", dir, "--steps", "200"))
	if o.code != 0 || !strings.Contains(o.stderr, "stretches lr_schedule") || !strings.Contains(o.stderr, `"share_now":0.5`) {
		t.Errorf("%+v", o)
	}
}

// Ensure that a run which was killed before its first checkpoint is listed, and begun
// again by --resume, and by the same command with the seed that was drawn for it. The
// environment stops the run at its 61st step, to be killed there.
func TestKilledBeforeFirstCheckpoint(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	for name, again := range map[string]func(dir string, command []string) []string{
		"resume": func(dir string, _ []string) []string { return []string{"train", "--resume", dir, "--json"} },
		"same":   func(_ string, command []string) []string { return append(command, "--json") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			until := filepath.Join(t.TempDir(), "until")
			command := []string{"train", "--config", "pendulum/sac", "--run-dir", dir,
				"--env", "faulty:Faulty-v0", "--set", "env.kwargs={mode: wait, after: 60, until: " + until + "}",
				"--backend", "go:ops_sequential", "--eval-freq", "0", "--eval-episodes", "1",
				"--steps", "100", "--set", "policy={hidden: [8]}", "--set", "agent={critic: {hidden: [8]}, batch_size: 8, random_steps: 40, learning_starts: 40}"}
			killed(t, stein(command...), func() bool { return there(until + ".waiting") })
			if list, _ := filepath.Glob(filepath.Join(dir, "checkpoints", "step-*")); len(list) > 0 {
				t.Fatalf("before step 61 of 100 there is %v", list)
			}
			if err := os.WriteFile(until, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			seed := decode[struct{ Seed uint64 }](t, string(must(os.ReadFile(filepath.Join(dir, "run.json"))))).Seed
			if code, stdout, stderr := run(t, "runs", "list", dir); code != 0 || !strings.Contains(stdout, "0/100") {
				t.Errorf("code %d, %s%s", code, stdout, stderr)
			}
			o := finish(t, stein(again(dir, command)...))
			if got := decode[struct {
				Seed uint64
				Step int64
			}](t, o.stdout); o.code != 0 || got.Step != 100 || got.Seed != seed {
				t.Errorf("%+v, seed %d was drawn; %s", got, seed, o.stderr)
			}
		})
	}
}
