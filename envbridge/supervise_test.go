package envbridge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/envbridge"
)

// Ensure that a killed worker is replaced: its step is lost, every episode ends as
// truncated, and the next ones are others.
func TestKilledWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for workers to fail")
	}
	log := &record{}
	w := probe("Probe", map[string]any{"length": 1000})
	w.Copies, w.Processes, w.Log = 2, 2, slog.New(log)
	env := start(t, w)
	first := append([]float32(nil), reset(t, env, 1)...)
	step(t, env, 0)
	pids := log.pids()
	require.Len(t, pids, 2)

	require.NoError(t, syscall.Kill(pids[1], syscall.SIGKILL))
	s := step(t, env, 0)
	require.True(t, s.Lost)
	require.Equal(t, []bool{true, true, true, true}, s.Truncated)
	require.Equal(t, []bool{false, false, false, false}, s.Terminated)
	for i := range 4 {
		require.Zero(t, s.Obs[3*i+1], "copy %d is in the middle of an episode", i)
		require.NotEqual(t, first[3*i+2], s.Obs[3*i+2], "copy %d repeats its episode", i)
	}
	require.Equal(t, envbridge.Stats{Failures: 1, Restarts: 1, Lost: 1}, env.Stats())
	failures := log.named("worker failed, restarting it")
	require.Len(t, failures, 1)
	require.Equal(t, "1", failures[0]["worker"])
	require.ErrorContains(t, failures[0]["why"].(error), "worker died: signal: killed")

	for n := range 5 {
		s = step(t, env, 0)
		require.False(t, s.Lost)
		require.Equal(t, float32(n+1), s.Obs[1])
		require.Equal(t, float32(n+1), s.Obs[10])
	}
	require.Len(t, log.pids(), 3)
}

// Ensure that a worker that stops answering is replaced, be it in its environment
// or stopped by a signal that it can't handle.
func TestHungWorker(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for workers to fail")
	}
	log := &record{}
	once := filepath.Join(t.TempDir(), "hung")
	w := probe("Probe", map[string]any{"act": "hang", "at": 2, "only_in": once})
	w.Timeout, w.Log = time.Second, slog.New(log)
	env := start(t, w)
	reset(t, env, 0)
	require.False(t, step(t, env, 0).Lost)
	require.True(t, step(t, env, 0).Lost)
	for range 3 {
		require.False(t, step(t, env, 0).Lost)
	}

	pids := log.pids()
	require.NoError(t, syscall.Kill(pids[1], syscall.SIGSTOP))
	require.True(t, step(t, env, 0).Lost)
	require.False(t, step(t, env, 0).Lost)
	require.Equal(t, uint64(2), env.Stats().Restarts)

	// The same while it resets: nothing is lost then.
	pids = log.pids()
	require.NoError(t, syscall.Kill(pids[2], syscall.SIGSTOP))
	require.Zero(t, reset(t, env, 5)[1])
	require.Equal(t, envbridge.Stats{Failures: 3, Restarts: 3, Lost: 2}, env.Stats())
	for _, pid := range pids {
		requireGone(t, pid)
	}
}

// Ensure that a worker that dies whenever it steps ends the run after three times,
// with what it wrote last.
func TestThreeFailures(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for workers to fail")
	}
	env := start(t, probe("Probe", map[string]any{"act": "die", "at": 1}))
	reset(t, env, 0)
	require.True(t, step(t, env, 0).Lost)
	require.True(t, step(t, env, 0).Lost)
	_, err := tryStep(t.Context(), env, 0)
	var failed *envbridge.WorkerError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, 3, failed.Failures)
	require.Equal(t, []string{"last words", "last words", "last words"}, failed.Stderr)
	require.ErrorContains(t, err, "worker 0 failed 3 times in a row without a step: worker died: exit status 3: last words\nits last lines:\n  last words")
	require.Equal(t, envbridge.Stats{Failures: 3, Restarts: 2, Lost: 2}, env.Stats())
}

// Ensure that failures far apart don't add up.
func TestFailuresWithStepsBetween(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for workers to fail")
	}
	env := start(t, probe("Probe", map[string]any{"act": "die", "at": 2}))
	reset(t, env, 0)
	for range 4 {
		require.False(t, step(t, env, 0).Lost)
		require.True(t, step(t, env, 0).Lost)
	}
}

// Ensure that a worker that can't start says why, at once.
func TestStartFails(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for workers to fail")
	}
	// An interpreter that runs, and has none of the packages.
	bare := filepath.Join(t.TempDir(), "python")
	require.NoError(t, os.WriteFile(bare, []byte("#!/bin/sh\necho \"No module named 'zmq'\" >&2\nexit 1\n"), 0o700))
	_, err := envbridge.Start(t.Context(), envbridge.Worker{Env: "Pendulum-v1", Python: bare})
	var failed *envbridge.WorkerError
	require.ErrorAs(t, err, &failed)
	require.ErrorContains(t, err, "worker died: exit status 1: No module named 'zmq'")
}

// Ensure that Close leaves no process, socket or folder, at whatever moment.
func TestCloseLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for workers to fail")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, moment := range []string{"idle", "in a step", "hanging"} {
		log := &record{}
		w := probe("Probe", nil)
		if moment == "hanging" {
			w = probe("Probe", map[string]any{"act": "hang", "at": 1})
		}
		w.Processes, w.Log = 2, slog.New(log)
		env, err := envbridge.Start(t.Context(), w)
		require.NoError(t, err)
		info, err := os.Stat(one(t, filepath.Join(tmp, "stein-env-*")))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		reset(t, env, 0)
		if moment != "idle" {
			require.NoError(t, env.Send(t.Context(), make([]float32, 4)))
		}
		require.NoError(t, env.Close())
		for _, pid := range log.pids() {
			requireGone(t, pid)
		}
		left, err := os.ReadDir(tmp)
		require.NoError(t, err)
		require.Empty(t, left, moment)
	}
}

func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

const parentOf = "STEIN_TEST_PARENT"

// TestParent is no test: it is the program that TestParentDies kills.
func TestParent(t *testing.T) {
	if os.Getenv(parentOf) == "" {
		t.Skip("a part of TestParentDies")
	}
	log := &record{}
	w := probe("Probe", nil)
	w.Processes, w.Log = 2, slog.New(log)
	_, err := envbridge.Start(t.Context(), w)
	require.NoError(t, err)
	for _, pid := range log.pids() {
		fmt.Println("pid", pid)
	}
	time.Sleep(time.Minute)
}

// Ensure that workers don't outlive a program that is killed, even one that is
// stopped, and that the folder it leaves is removed by the next.
func TestParentDies(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for workers to fail")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	parent := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestParent$", "-test.v")
	parent.Env = append(os.Environ(), parentOf+"=1")
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	var pids []int
	lines := bufio.NewScanner(out)
	for len(pids) < 2 && lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "pid "); ok {
			pid, err := strconv.Atoi(rest)
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	require.Len(t, pids, 2, "the parent has started no workers")

	require.NoError(t, syscall.Kill(pids[1], syscall.SIGSTOP))
	require.NoError(t, parent.Process.Kill())
	var exit *exec.ExitError
	require.True(t, errors.As(parent.Wait(), &exit))
	for _, pid := range pids {
		requireGone(t, pid)
	}

	left := one(t, filepath.Join(tmp, "stein-env-*"))
	start(t, probe("Probe", nil))
	require.NoDirExists(t, left)
}

// Ensure that a folder whose program was killed before it locked the folder is removed
// once no program can still be creating it.
func TestUnlockedFolder(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	old, young := filepath.Join(tmp, "stein-env-1"), filepath.Join(tmp, "stein-env-2")
	require.NoError(t, os.Mkdir(old, 0o700))
	require.NoError(t, os.Mkdir(young, 0o700))
	past := time.Now().Add(-2 * time.Minute)
	require.NoError(t, os.Chtimes(old, past, past))
	start(t, probe("Probe", nil))
	require.NoDirExists(t, old)
	require.DirExists(t, young)
}
