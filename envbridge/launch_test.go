package envbridge_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/python"
)

// ownModule is an environment of a user's, in a file of the working directory.
const ownModule = `
import gymnasium as gym
import numpy as np

class Mine(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}
    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, True, {}

gym.register("launch/Mine-v0", Mine)
`

// workIn makes a working directory with files.
func workIn(t *testing.T, files map[string]string) string {
	t.Helper()
	interpreter, err := python.Find("")
	require.NoError(t, err)
	interpreter, err = filepath.Abs(interpreter)
	require.NoError(t, err)
	t.Setenv("STEIN_PYTHON", interpreter)
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	t.Chdir(dir)
	return dir
}

// Ensure that an environment beside files named as modules that the worker imports
// is found and stepped, under variables that change where Python looks.
func TestFilesThatShadowModules(t *testing.T) {
	notes := "print('my notes')"
	workIn(t, map[string]string{
		"mymodule.py": ownModule, "random.py": notes, "stein_env.py": notes, "logging.py": notes, "zmq.py": notes, "gymnasium.py": notes,
	})
	t.Setenv("PYTHONSAFEPATH", "1")
	t.Setenv("PYTHONHOME", "/nowhere")
	env := start(t, envbridge.Worker{Env: "mymodule:launch/Mine-v0"})
	reset(t, env, 0)
	require.True(t, step(t, env, 0).Truncated[0])
}

// Ensure that a worker that dies before it says anything is explained by Python's own
// last words, in the first line of the error.
func TestPythonThatCannotStart(t *testing.T) {
	dir := workIn(t, map[string]string{"sitecustomize.py": "raise SystemExit('not yours')"})
	t.Setenv("PYTHONPATH", dir)
	_, err := envbridge.Start(t.Context(), envbridge.Worker{Env: "Pendulum-v1"})
	var dead *envbridge.WorkerError
	require.ErrorAs(t, err, &dead)
	require.ErrorContains(t, dead.Err, "worker died: exit status 1: SystemExit: not yours")
	require.ErrorContains(t, dead.Err, "sitecustomize.py, line 1")
}

// Ensure that an environment whose constructor raises is refused in these words, and
// not as one that raised in a step.
func TestConstructorThatRaises(t *testing.T) {
	_, err := envbridge.Start(t.Context(), probe("Probe", map[string]any{"colour": "red"}))
	var refused *envbridge.RefusedError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "probe/Probe-v0: can't be made: TypeError")
	require.NotContains(t, err.Error(), "last action")
	require.Contains(t, refused.Traceback, "Traceback")
}

// Ensure that environments get seeds of 31 bits, whatever the run's seed is, and that
// large ones differ.
func TestLargeSeeds(t *testing.T) {
	t.Parallel()
	w := probe("Strange", map[string]any{"seeds": "31 bits"})
	w.Copies, w.Log = 2, slog.New(&record{})
	env := start(t, w)
	draws := map[float32]bool{}
	for _, seed := range []int64{0, 1<<31 - 1, 1<<33 + 5, 1<<62 - 1, 1<<63 - 1} {
		first := append([]float32(nil), reset(t, env, seed)...)
		require.Equal(t, first, reset(t, env, seed))
		draws[first[0]] = true
	}
	require.Greater(t, len(draws), 2)
}

// Ensure that a simulator that takes long to load is waited for, with a word about it,
// and that the limit is named where it is too short.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	log := &record{}
	w := probe("Strange", map[string]any{"loads": 0.4})
	w.Copies, w.Log, w.StartTimeout = 2, slog.New(log), 8*time.Second
	reset(t, start(t, w), 0)

	w.Kwargs, w.StartTimeout = map[string]any{"loads": 600.0}, time.Second
	_, err := envbridge.Start(t.Context(), w)
	require.ErrorContains(t, err, "no answer within 1s (env.start_timeout)")
	waiting := log.named("waiting for a worker to start")
	require.NotEmpty(t, waiting)
	require.Equal(t, time.Second, waiting[len(waiting)-1]["limit"])
}
