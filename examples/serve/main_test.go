package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stein-rl/stein/cmd"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/python"
)

// Ensure that both programs get their episode from a server.
func TestControlLoops(t *testing.T) {
	if testing.Short() {
		t.Skip("trains and serves")
	}
	dir := filepath.Join(t.TempDir(), "pendulum")
	var errs bytes.Buffer
	code := cmd.Execute(t.Context(), experiments.Builtin(), []string{
		"train", "--config", "pendulum/sac", "--run-dir", dir, "--seed", "1", "--steps", "200", "--eval-freq", "0", "--eval-episodes", "1",
		"--set", "policy.hidden=[16]", "--set", "agent={critic: {hidden: [16]}}", "--set", "schedule={batch_size: 16, random_steps: 50, learning_starts: 50}",
	}, io.Discard, &errs)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, errs.String())
	}
	address, stop := serve(t, dir)
	defer stop()

	var out bytes.Buffer
	if err := run(t.Context(), &out, address); err != nil {
		t.Fatal(err)
	}
	const first = "pendulum: gaussian on Pendulum-v1, 200 steps of training\n"
	if !strings.HasPrefix(out.String(), first+"return -") {
		t.Errorf("Go: %s", out.String())
	}
	python, err := python.Find("")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(python, "control.py", address)
	c.Env = append(os.Environ(), "PYTHONPATH=../../python_env")
	text, err := c.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(text), first+"return -") {
		t.Errorf("Python: %v, %s", err, text)
	}
}

// serve runs stein serve at a free port.
func serve(t *testing.T, run string) (address string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	var errs bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- cmd.Execute(ctx, experiments.Builtin(), []string{"serve", run, "--listen", "127.0.0.1:0", "--batch", "1"}, out, &errs)
		out.Close()
	}()
	line := make([]byte, 100)
	n, _ := in.Read(line)
	go io.Copy(io.Discard, in)
	found := regexp.MustCompile(`^serving at (127\.0\.0\.1:\d+)\n$`).FindStringSubmatch(string(line[:n]))
	if found == nil {
		cancel()
		t.Fatalf("code %d, stdout %q, stderr %s", <-done, line[:n], errs.String())
	}
	return found[1], func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("the server ended with code %d, %s", code, errs.String())
		}
	}
}
