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

// Ensure that an agent learns to hold the sledge.
// STEIN_PYTHON names nothing, so that whatever needs Python fails.
func TestLearns(t *testing.T) {
	if testing.Short() {
		t.Skip("trains an agent")
	}
	t.Setenv("STEIN_PYTHON", "/no/such/python")
	dir := filepath.Join(t.TempDir(), "run")
	code, _, stderr := stein(t, "train", "--config", "pendulum/sac", "--env", "go:sledge", "--copies", "2", "--run-dir", dir, "--seed", "1", "--steps", "1500",
		"--set", "policy.hidden=[32]", "--set", "agent={critic: {hidden: [32, 32]}, actor_lr: 0.003, critic_lr: 0.003, alpha_lr: 0.003, gamma: 0.95}", "--set", "schedule.batch_size=64",
		"--set", "env.kwargs={friction: 0.3}", "--eval-freq", "0", "--eval-episodes", "10")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	code, stdout, stderr := stein(t, "eval", dir, "--json")
	var mark struct {
		Mean   float64   `json:"mean"`
		Length []float64 `json:"lengths"`
	}
	if err := json.Unmarshal([]byte(stdout), &mark); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v\n%s", code, err, stderr)
	}
	if !(mark.Mean > -15) || len(mark.Length) != 10 { // doing nothing has −33
		t.Errorf("mean return %g in episodes of %v", mark.Mean, mark.Length)
	}
}

// Ensure that the program says what is right and wrong with an environment of its own.
func TestCheck(t *testing.T) {
	code, stdout, stderr := stein(t, "env", "check", "go:sledge", "--kwargs", `{"friction": 0.5}`)
	if code != 0 || strings.Contains(stdout, "FAIL") || !strings.Contains(stdout, "observations of 2, actions of 1 numbers, at most 100 steps") ||
		!strings.Contains(stdout, "the same seed gives the same trajectory") || !strings.Contains(stdout, "steps/s") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"env", "check", "go:slege"}, "did you mean go:sledge?"},
		{[]string{"env", "check", "go:sledge", "--kwargs", `{"frction": 1}`}, "did you mean friction?"},
		{[]string{"train", "--config", "pendulum/sac", "--env", "go:sled"}, "env.id go:sled: this program has no environment go:sled; did you mean go:sledge?"},
		{[]string{"train", "--config", "pendulum/sac", "--env", "go:sledge", "--set", "env.kwargs={friction: -1}"}, "friction: -1: want >= 0"},
		{[]string{"train", "--config", "pendulum/sac", "--env", "go:sledge", "--envs", "tcp://127.0.0.1:1"}, "remove env.endpoints and env.hosts"},
	} {
		if code, _, stderr := stein(t, c.args...); code == 0 || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d\n%s, want %s", c.args, code, stderr, c.want)
		}
	}
}

// Ensure that the page that explains this program shows this program.
func TestPageIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/adding_an_environment.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+string(source)+"```\n") {
		t.Error("docs/adding_an_environment.md shows another main.go")
	}
}
