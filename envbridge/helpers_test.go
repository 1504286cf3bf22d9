package envbridge_test

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stein-rl/stein/envbridge"
)

// TestMain has the tests see the probe environments, and sees that no goroutine is
// left behind.
func TestMain(m *testing.M) {
	probes, err := filepath.Abs("../python_env/tests")
	if err != nil {
		panic(err)
	}
	os.Setenv("PYTHONPATH", probes)
	goleak.VerifyTestMain(m)
}

// probe is an environment of python_env/tests/probe_envs.py.
func probe(name string, kwargs map[string]any) envbridge.Worker {
	return envbridge.Worker{Env: "probe_envs:probe/" + name + "-v0", Kwargs: kwargs}
}

// start starts workers that end with the test.
func start(t testing.TB, w envbridge.Worker) *envbridge.Bridge {
	t.Helper()
	env, err := envbridge.Start(t.Context(), w)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, env.Close()) })
	return env
}

// step sends the same number for every action and receives.
func step(t testing.TB, env envbridge.Env, action float32) envbridge.Step {
	t.Helper()
	s, err := tryStep(t.Context(), env, action)
	require.NoError(t, err)
	return s
}

func tryStep(ctx context.Context, env envbridge.Env, action float32) (envbridge.Step, error) {
	spec := env.Spec()
	all := make([]float32, spec.Copies*spec.ActDim)
	for i := range all {
		all[i] = action
	}
	if err := env.Send(ctx, all); err != nil {
		return envbridge.Step{}, err
	}
	return env.Recv(ctx)
}

func reset(t testing.TB, env envbridge.Env, seed int64) []float32 {
	t.Helper()
	obs, err := env.Reset(t.Context(), seed)
	require.NoError(t, err)
	return obs
}

// A record is a log that tests can read.
type record struct {
	mu      sync.Mutex
	entries []entry
}

type entry struct {
	message string
	attrs   map[string]any
}

func (r *record) Enabled(context.Context, slog.Level) bool { return true }
func (r *record) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *record) WithGroup(string) slog.Handler            { return r }

func (r *record) Handle(_ context.Context, s slog.Record) error {
	e := entry{s.Message, map[string]any{}}
	s.Attrs(func(a slog.Attr) bool {
		e.attrs[a.Key] = a.Value.Any()
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, e)
	return nil
}

func (r *record) named(message string) []map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []map[string]any
	for _, e := range r.entries {
		if e.message == message {
			found = append(found, maps.Clone(e.attrs))
		}
	}
	return found
}

// pids are those of all workers so far, in the order of their start.
func (r *record) pids() []int {
	var pids []int
	for _, attrs := range r.named("worker ready") {
		pids = append(pids, int(attrs["pid"].(uint64)))
	}
	return pids
}

// requireGone waits until a process is no more; one that nobody reaped counts.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		return err != nil || zombie(string(stat))
	}, 5*time.Second, 10*time.Millisecond, "process %d is still there", pid)
}

// zombie reads the state out of /proc/PID/stat: "pid (name) S ...".
func zombie(stat string) bool {
	i := strings.LastIndexByte(stat, ')')
	return i >= 0 && strings.HasPrefix(stat[i:], ") Z")
}
