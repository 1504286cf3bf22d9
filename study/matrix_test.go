package study_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/study"
)

func names(t *testing.T, m study.Matrix, only ...string) []string {
	t.Helper()
	trials, err := m.Trials(experiments.Builtin(), only)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, trial := range trials {
		all = append(all, trial.Name)
	}
	return all
}

// Ensure that walker2d is the fourteen that are published, a folder without any all
// of it, one configuration itself, and that patterns choose among them.
func TestFolder(t *testing.T) {
	walker := study.Folder("walker2d")
	walker.Seeds = study.Seeds{0, 1, 2, 3, 4}
	if all := names(t, walker); len(all) != 70 || slices.Contains(all, "walker2d-quick-s0") || !slices.Contains(all, "walker2d-met-mh-greedy-m64-s4") {
		t.Errorf("%d trials: %v", len(all), all)
	}
	if got := names(t, walker, "met-mh-m*", "walker2d/sac"); fmt.Sprint(got[:3]) != "[walker2d-met-mh-m10-s0 walker2d-met-mh-m64-s0 walker2d-sac-s0]" || len(got) != 15 {
		t.Errorf("%v", got)
	}
	if got := names(t, study.Folder("multigoal")); len(got) < 3 {
		t.Errorf("%v", got)
	}
	if got := names(t, study.Folder("walker2d/quick")); fmt.Sprint(got) != "[walker2d-quick-s0]" {
		t.Errorf("%v", got)
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Ensure that a file's lists and grids are multiplied out, that values come as they
// are written, and that a configuration's file is found beside it.
func TestReadMatrix(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "mine.yaml", "extends: [pendulum/sac]\nsteps: 700\n")
	m, err := study.ReadMatrix(write(t, dir, "m.yaml", `
configs: [pendulum/sa*c, mine.yaml]
seeds: [3, 8]
set:
  policy: {hidden: [16]}
grid:
  agent.gamma: [0.9, 0.99]
  env.kwargs:
    - {g: 9.81}
    - {}
list:
  - {agent.alpha: 0.1, agent.auto_alpha: false}
  - {agent.alpha: 1}
`))
	if err != nil {
		t.Fatal(err)
	}
	trials, err := m.Trials(experiments.Builtin(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(trials) != 2*2*2*2*2 {
		t.Errorf("%d trials", len(trials))
	}
	first, last := trials[0], trials[len(trials)-1]
	if first.Name != "pendulum-sac-alpha=0.1-auto_alpha=false-gamma=0.9-kwargs=_g:9.81_-s3" && first.Name != "pendulum-sac-alpha=0.1-auto_alpha=false-gamma=0.9-kwargs=_g_9.81_-s3" {
		t.Errorf("the first is %s", first.Name)
	}
	want := []string{"policy={hidden: [16]}", "agent.alpha=0.1", "agent.auto_alpha=false", "agent.gamma=0.9", "env.kwargs={g: 9.81}"}
	if !slices.Equal(first.Sets, want) {
		t.Errorf("sets %q, want %q", first.Sets, want)
	}
	if last.Config != filepath.Join(dir, "mine.yaml") || last.Steps != 700 || !strings.HasPrefix(last.Name, "mine-alpha=1-") || last.Seed != 8 {
		t.Errorf("the last is %+v", last)
	}
}

// Ensure that what makes no sense is told before anything starts.
func TestBadMatrix(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"seeds: 2\n":                                          "configs is missing",
		"configs: [pendulum/sac]\nseed: 2\n":                  "seed: unknown key; did you mean seeds?",
		"configs: [pendulum/sac]\nseeds: none\n":              `seeds "none"`,
		"configs: [pendulum/sac]\nseeds: [1, 1]\n":            "two trials are named",
		"configs: [pendulum/sac]\ngrid: {agent.gamma: 0.9}\n": "want a list of values",
		"configs: [pendulum/sac]\nset: {agent.gama: 0.9}\n":   "did you mean gamma?",
		"configs: [pendulum/sac]\ngrid: {steps: [10, 0]}\n":   "steps: 0: want >= 1",
		"configs: [pendulm/sac]\n":                            "did you mean pendulum/sac?",
		"configs: [nothing/*]\n":                              "no configuration matches nothing/*",
	} {
		m, err := study.ReadMatrix(write(t, dir, "m.yaml", text))
		if err == nil {
			_, err = m.Trials(experiments.Builtin(), nil)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := study.Folder("walker2d").Trials(experiments.Builtin(), []string{"ppo"}); err == nil || !strings.Contains(err.Error(), "--only ppo matches none") {
		t.Errorf("%v", err)
	}
}

func TestParseSeeds(t *testing.T) {
	for text, want := range map[string]string{"3": "[0 1 2]", "3,7": "[3 7]", "9,": "[9]"} {
		if s, err := study.ParseSeeds(text); err != nil || fmt.Sprint(s) != want {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "x", "1,x", "1e3"} {
		if s, err := study.ParseSeeds(text); err == nil {
			t.Errorf("%q: %v", text, s)
		}
	}
}
