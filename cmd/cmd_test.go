package cmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stein-rl/stein/cmd"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/runs"
)

// run executes a command line in this process.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cmd.Execute(context.Background(), experiments.Builtin(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// Ensure that what makes no sense is code 2, says what is near, and prints nothing
// on stdout.
func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"configz", `unknown command "configz" for "stein"; did you mean configs?`},
		{"configs shw", `unknown command "shw" for "stein configs"; did you mean show?`},
		{"configs show", "got no argument; want stein configs show NAME [flags]"},
		{"train pendulum/sac", `got ["pendulum/sac"]; want stein train [flags]`},
		{"eval runs/x --episodes y", `--episodes "y": want a whole number`},
		{"eval runs/x --seed -1", `--seed "-1": want a whole number from 0 to`},
		{"train --json=maybe", `--json "maybe": want true or false`},
		{"env check Pendulum-v1 --kwargs [1]", `--kwargs [1]: want a JSON object, such as {"level": 3}`},
		{"env check Pendulum-v1 --kwargs null", "--kwargs null: want a JSON object"},
		{"env check Pendulum-v1 --kwargs {}{}", "--kwargs {}{}: want a JSON object"},
		{"configs show walker2/sac", "did you mean walker2d/sac?"},
		{"configs show walker2d/sac --set agent.gama=1", "agent.gama: unknown key; did you mean gamma?"},
		{"doctor --jsn", "unknown flag: --jsn; did you mean --json?"},
		{"watch runs --port 99999", `--port "99999": want a whole number from 0 to 65535`},
		{"watch runs --port x", `--port "x": want a whole number from 0 to 65535`},
		{"report runs --resamples 1000000000", "--resamples 1000000000: want 1 to 100,000"},
		{"report runs --gamma big", `--gamma "big": want a number`},
		{"runs --json=maybe", `--json "maybe": want true or false`},
		{"--log-level loud configs", "--log-level loud: want debug, info, warn or error"},
		{"--log-format jsn configs", "did you mean json?"},
	} {
		code, stdout, stderr := run(t, strings.Fields(c.args)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("stein %s: code %d, stdout %q, stderr %q; want %q", c.args, code, stdout, stderr, c.want)
		}
	}
}

// Ensure that a command that a signal ends early says so, in words of its own.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	code := cmd.Execute(ctx, experiments.Builtin(), []string{"env", "check", "Pendulum-v1"}, &out, &errs)
	if code != 1 || !strings.Contains(errs.String(), "interrupted") || strings.Contains(errs.String(), "context") {
		t.Errorf("code %d, %s", code, &errs)
	}
}

func TestConfigs(t *testing.T) {
	code, stdout, _ := run(t, "configs")
	if code != 0 || !strings.Contains(stdout, "walker2d/sac") {
		t.Errorf("code %d, %s", code, stdout)
	}
	code, stdout, _ = run(t, "configs", "--json")
	var all []struct{ Name, Env, About string }
	if err := json.Unmarshal([]byte(stdout), &all); code != 0 || err != nil || len(all) == 0 || all[0].Env == "" {
		t.Errorf("code %d, %v, %s", code, err, stdout)
	}
	code, stdout, _ = run(t, "configs", "show", "pendulum/sac", "--set", "agent.gamma=0.9")
	if code != 0 || !strings.Contains(stdout, "id: Pendulum-v1") || !strings.Contains(stdout, "gamma: 0.9\n") {
		t.Errorf("code %d, %s", code, stdout)
	}
}

func TestVersion(t *testing.T) {
	code, stdout, _ := run(t, "version", "--json")
	var b runs.Build
	if err := json.Unmarshal([]byte(stdout), &b); code != 0 || err != nil || !strings.HasPrefix(b.Go, "go1") {
		t.Errorf("code %d, %v, %s", code, err, stdout)
	}
}

// Ensure that a setting's old name is read, and that one line of the log has the new one.
func TestOldKeys(t *testing.T) {
	code, stdout, stderr := run(t, "configs", "show", "walker2d/sac", "--set", "agent.random_steps=7", "--set", "agent.train_every=5")
	if code != 0 || !strings.Contains(stdout, "\n  random_steps: 7\n") || !strings.Contains(stdout, "\n  train_every: 5\n") {
		t.Errorf("code %d\n%s", code, stdout)
	}
	if strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "agent.random_steps is now schedule.random_steps") || !strings.Contains(stderr, "schedule.train_every") {
		t.Errorf("%q", stderr)
	}
}

type finding struct{ Check, State, Detail, Fix string }

func doctor(t *testing.T, args ...string) (code int, found map[string]finding, stderr string) {
	t.Helper()
	code, stdout, stderr := run(t, append([]string{"doctor", "--json"}, args...)...)
	var all []finding
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	found = map[string]finding{}
	for _, f := range all {
		found[f.Check] = f
	}
	return code, found, stderr
}

// Ensure that the doctor finds this machine fit, as every other test does.
func TestDoctor(t *testing.T) {
	code, found, stderr := doctor(t)
	if code != 0 {
		t.Errorf("code %d, %s, %v", code, stderr, found)
	}
	for _, check := range []string{"backend", "graph", "libzmq", "python", "packages", "simulator"} {
		if found[check].State != "ok" {
			t.Errorf("%+v", found[check])
		}
	}
}

// Ensure that what is missing is named, with what to do about it, and is code 1.
func TestDoctorOfSickMachine(t *testing.T) {
	t.Setenv("STEIN_PYTHON", "/no/such/python")
	code, found, stderr := doctor(t, "--backend", "xla:/no/such/plugin.so")
	if code != 1 || !strings.Contains(stderr, "training would not work here") {
		t.Errorf("code %d, %q", code, stderr)
	}
	for check, want := range map[string]string{"backend": "/no/such/plugin.so", "python": "/no/such/python"} {
		if f := found[check]; f.State != "FAIL" || !strings.Contains(f.Detail, want) || f.Fix == "" {
			t.Errorf("%s: %+v", check, f)
		}
	}
}
