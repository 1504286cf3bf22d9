package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/cmd"
)

func stein(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cmd.Execute(t.Context(), catalog(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// Ensure that the program's own parts train, evaluate and resume, each beside the others
// and beside Stein's, without Python.
func TestTrains(t *testing.T) {
	if testing.Short() {
		t.Skip("trains an agent")
	}
	t.Setenv("STEIN_PYTHON", "/no/such/python")
	for name, sets := range map[string][]string{
		"own policy, own agent": {"policy.kind=logit", "agent.kind=single"},
		"own kernel, own agent": {"policy={kind: stein, hidden: [16], activation: elu, sampler: {kernel: cauchy, steps: 1}}", "agent.kind=single"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			args := []string{"train", "--config", "pendulum/sac", "--env", "go:valley", "--copies", "2", "--run-dir", dir, "--seed", "1", "--steps", "400", "--eval-freq", "0", "--eval-episodes", "5",
				"--backend", "go:ops_sequential", "--set", "schedule={batch_size: 32, random_steps: 100, learning_starts: 100, train_every: 2, fused_updates: 2}"}
			for _, s := range sets {
				args = append(args, "--set", s)
			}
			if code, _, stderr := stein(t, args...); code != 0 {
				t.Fatalf("exit code %d\n%s", code, stderr)
			}
			if code, _, stderr := stein(t, "train", "--resume", dir, "--steps", "600"); code != 0 {
				t.Fatalf("resuming: exit code %d\n%s", code, stderr)
			}
			code, stdout, stderr := stein(t, "eval", dir, "--json", "--episodes", "10")
			var mark struct{ Mean float64 }
			if err := json.Unmarshal([]byte(stdout), &mark); code != 0 || err != nil {
				t.Fatalf("exit code %d, %v\n%s", code, err, stderr)
			}
			if !(mark.Mean > -60) { // doing nothing has −117
				t.Errorf("mean return %g", mark.Mean)
			}
		})
	}
}

// Ensure that what the learner can't do is refused by its name.
func TestRefusals(t *testing.T) {
	for want, args := range map[string][]string{
		"single trains a policy":    {"configs", "show", "pendulum/sac", "--set", "agent.kind=single", "--set", "policy=null"},
		"did you mean single?":      {"configs", "show", "pendulum/sac", "--set", "agent.kind=singel"},
		"agent.tau: 0: want > 0":    {"configs", "show", "pendulum/sac", "--set", "agent={kind: single, tau: 0}"},
		"want one of cauchy, imq,":  {"configs", "show", "pendulum/p-svgd", "--set", "policy.sampler.kernel=cauchi"},
		"agent.actor_lr: unknown k": {"configs", "show", "pendulum/sac", "--set", "agent={kind: single, actor_lr: 1}"},
	} {
		if code, _, stderr := stein(t, args...); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit code %d\n%s, want %s", args, code, stderr, want)
		}
	}
}

// Ensure that the page that explains the learner shows this one, and that the promises of
// length are kept.
func TestPageIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/adding_an_agent.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for file, most := range map[string]int{"agent.go": 150, "main.go": 120} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if file == "agent.go" && !strings.Contains(string(page), "```go\n"+string(source)+"```\n") {
			t.Error("docs/adding_an_agent.md shows another agent.go")
		}
		n := strings.Count(string(source), "\n")
		if lines += n; n >= most {
			t.Errorf("%s has %d lines, promised under %d", file, n, most)
		}
	}
	if lines >= 300 {
		t.Errorf("%d lines, promised under 300", lines)
	}
}
