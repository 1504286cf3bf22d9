package envbridge_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/envbridge/envpb"
)

// Ensure that what the far side can't do is refused at the handshake, in words that
// help. All ways are in python_env/tests/test_copies.py.
func TestRefusals(t *testing.T) {
	spaces := func(kwargs map[string]any) envbridge.Worker { return probe("Spaces", kwargs) }
	for name, c := range map[string]struct {
		worker envbridge.Worker
		code   envpb.Failure_Code
		want   string
	}{
		"unknown id": {envbridge.Worker{Env: "Walker2dv5"}, envpb.Failure_UNKNOWN_ENV, "no such environment; did you mean Walker2d-v5"},
		"discrete":   {spaces(map[string]any{"act": "discrete"}), envpb.Failure_SPACE, "action space is Discrete"},
		"shape":      {spaces(map[string]any{"gives": "three"}), envpb.Failure_SHAPE, "observation of shape (3,), its observation space says (2,)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := envbridge.Start(t.Context(), c.worker)
			require.ErrorContains(t, err, c.want)
			var refused *envbridge.RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.code, refused.Code)
		})
	}
}

// Ensure that an exception of the environment comes with all that is known of it.
func TestRaises(t *testing.T) {
	t.Parallel()
	w := probe("Probe", map[string]any{"act": "raise", "at": 3})
	w.Copies = 2
	env := start(t, w)
	reset(t, env, 0)
	step(t, env, 0)
	step(t, env, 0)
	_, err := tryStep(t.Context(), env, 0.5)
	var raised *envbridge.RaisedError
	require.ErrorAs(t, err, &raised)
	require.Equal(t, 0, raised.Copy)
	require.Equal(t, uint64(3), raised.Step)
	require.Equal(t, []float64{0.5, 0.5}, raised.Action)
	require.Regexp(t, `^ValueError: the floor is lava \(.*probe_envs.py, line \d+\)$`, raised.Exception)
	require.Contains(t, raised.Traceback, "probe_envs.py")
	require.Equal(t, []string{"about to raise"}, raised.Stderr)
	require.ErrorContains(t, err, "copy 0 raised at step 3: "+raised.Exception+" (last action [0.5 0.5])")
}

// Ensure that an environment that ends its process in Python's way is told, not
// taken for a death.
func TestExits(t *testing.T) {
	t.Parallel()
	env := start(t, probe("Probe", map[string]any{"act": "exit", "at": 1}))
	reset(t, env, 0)
	_, err := tryStep(t.Context(), env, 0)
	require.ErrorContains(t, err, "SystemExit: bye")
	require.Zero(t, env.Stats().Failures)
}

// Ensure that an exception in the first reset, input that nobody gives, and a crash in C
// are reported with the line of the environment's code.
func TestRude(t *testing.T) {
	t.Parallel()
	rude := func(where, what string) envbridge.Worker {
		return probe("Rude", map[string]any{"where": where, "what": what})
	}
	_, err := envbridge.Start(t.Context(), rude("reset", "assert"))
	require.ErrorContains(t, err, "copy 0 raised before its first step: AssertionError (")
	_, err = envbridge.Start(t.Context(), rude("reset", "input"))
	require.ErrorContains(t, err, "EOFError: EOF when reading a line (")
	_, err = envbridge.Start(t.Context(), rude("init", "crash"))
	require.ErrorContains(t, err, "Fatal Python error: Segmentation fault (")
}

// Ensure that a worker whose step does not return ends soon, and is reported once.
func TestHungStep(t *testing.T) {
	t.Parallel()
	w := probe("Rude", map[string]any{"where": "step", "what": "sleep"})
	w.Timeout = 300 * time.Millisecond
	env := start(t, w)
	reset(t, env, 0)
	var err error
	for range 3 { // the first two times it is replaced
		_, err = tryStep(t.Context(), env, 0)
	}
	require.ErrorContains(t, err, "3 times in a row without a step")
	require.Equal(t, 1, strings.Count(err.Error(), "envbridge: "))

	env = start(t, probe("Rude", map[string]any{"where": "step", "what": "sleep"}))
	reset(t, env, 0)
	require.NoError(t, env.Send(t.Context(), make([]float32, env.Spec().ActDim)))
	began := time.Now()
	require.NoError(t, env.Close())
	require.Less(t, time.Since(began), 2*time.Second)
}

// Ensure that numbers that aren't finite are named: which, where, after what.
func TestNonFinite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		act    string
		length int // 3: at the end of an episode, 10: in its midst
		want   envbridge.NonFiniteError
	}{
		{"nan reward", 10, envbridge.NonFiniteError{Field: "reward"}},
		{"inf observation", 3, envbridge.NonFiniteError{Field: "observation", Index: 1}},
		{"large observation", 10, envbridge.NonFiniteError{Field: "observation", Index: 1}},
	} {
		t.Run(c.act, func(t *testing.T) {
			w := probe("Probe", map[string]any{"act": c.act, "at": 3, "length": c.length})
			env := start(t, w)
			reset(t, env, 0)
			step(t, env, 0)
			step(t, env, 0)
			_, err := tryStep(t.Context(), env, 0.5)
			var bad *envbridge.NonFiniteError
			require.ErrorAs(t, err, &bad)
			require.True(t, math.IsNaN(float64(bad.Value)) || math.IsInf(float64(bad.Value), 1))
			c.want.Env, c.want.Worker, c.want.Step, c.want.Action = w.Env, "0", 3, []float32{0.5, 0.5}
			got := *bad
			got.Value = 0
			require.Equal(t, c.want, got)
		})
	}
}
