package envbridge_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/python"
)

// Ensure that a real Walker2d can be stepped, and that the same seed and actions
// give the same episodes, however the copies are spread over workers.
func TestWalker2dRepeats(t *testing.T) {
	if testing.Short() {
		t.Skip("starts MuJoCo in workers")
	}
	run := func(w envbridge.Worker) (obs []float32, reward float64, ends int) {
		env := start(t, w)
		bounds := &envbridge.Bounds{Low: []float64{-1, -1, -1, -1, -1, -1}, High: []float64{1, 1, 1, 1, 1, 1}}
		require.Equal(t, envbridge.Spec{ID: w.Env, Copies: 2, ObsDim: 17, ActDim: 6, MaxSteps: 1000, FPS: 125,
			Bounds: bounds, ObsShape: []int{17}, ActShape: []int{6}}, env.Spec())
		reset(t, env, 7)
		action := make([]float32, 12)
		for i := range 300 {
			for j := range action {
				action[j] = float32((i*7+j*3)%11)/5 - 1
			}
			require.NoError(t, env.Send(t.Context(), action))
			s, err := env.Recv(t.Context())
			require.NoError(t, err)
			for c := range 2 {
				reward += float64(s.Reward[c])
				if s.Terminated[c] || s.Truncated[c] {
					ends++
				}
			}
			obs = append(obs[:0], s.Obs...)
		}
		return obs, reward, ends
	}
	obs, reward, ends := run(envbridge.Worker{Env: "Walker2d-v5", Copies: 2})
	require.Greater(t, ends, 2)
	again, rewardAgain, _ := run(envbridge.Worker{Env: "Walker2d-v5", Processes: 2})
	require.Equal(t, obs, again)
	require.Equal(t, reward, rewardAgain)
}

// Ensure that the environment of the published results is there too.
func TestWalker2dV4(t *testing.T) {
	if testing.Short() {
		t.Skip("starts MuJoCo in workers")
	}
	env := start(t, envbridge.Worker{Env: "Walker2d-v4"})
	require.Len(t, reset(t, env, 0), 17)
	require.NotZero(t, step(t, env, 0.5).Reward[0])
}

// Ensure that the observation to learn from and the one to act on differ exactly
// where an episode ended, and that the ends are told apart.
func TestEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		end                   string
		terminated, truncated bool
	}{{"terminated", true, false}, {"truncated", false, true}, {"both", true, false}} {
		t.Run(c.end, func(t *testing.T) {
			w := probe("Probe", map[string]any{"end": c.end, "length": 3})
			w.Copies = 2
			env := start(t, w)
			first := append([]float32(nil), reset(t, env, 5)...)
			require.Equal(t, []float32{2, 0, 1, 0}, []float32{first[0], first[1], first[3], first[4]}) // the handshake has had episode 1 of copy 0
			for n := range 7 {
				s := step(t, env, 0.25)
				ended := n%3 == 2
				for i := range 2 {
					require.Equal(t, ended && c.terminated, s.Terminated[i], "step %d", n)
					require.Equal(t, ended && c.truncated, s.Truncated[i], "step %d", n)
					require.Equal(t, float32(0.5), s.Reward[i])
					require.Equal(t, float32(n%3+1), s.Next[3*i+1])
					require.Equal(t, float32((n+1)%3), s.Obs[3*i+1])
				}
				require.False(t, s.Lost)
			}
		})
	}
}

// Ensure that a time limit given to the bridge truncates.
func TestMaxSteps(t *testing.T) {
	t.Parallel()
	w := probe("Probe", map[string]any{"length": 100})
	w.MaxSteps = 2
	env := start(t, w)
	require.Equal(t, 2, env.Spec().MaxSteps)
	reset(t, env, 0)
	require.Equal(t, []bool{false}, step(t, env, 0).Truncated)
	require.Equal(t, []bool{true}, step(t, env, 0).Truncated)
}

// Ensure that actions reach the environment in its own bounds, dtype and shape, and
// that those beyond [-1, 1] are clipped.
func TestActionScaling(t *testing.T) {
	t.Parallel()
	env := start(t, probe("Scaled", nil)) // bounds [[-2,2] [0,1]] [[10,30] [-1,1]]
	reset(t, env, 0)
	for _, c := range []struct {
		action float32
		want   []float32
	}{
		{-1, []float32{-2, 0, 10, -1}},
		{0, []float32{0, 0.5, 20, 0}},
		{0.5, []float32{1, 0.75, 25, 0.5}},
		{1, []float32{2, 1, 30, 1}},
		{7, []float32{2, 1, 30, 1}},
	} {
		require.Equal(t, c.want, step(t, env, c.action).Next)
	}
}

// Ensure that copy i draws from seed+i, again and again, on whichever worker.
func TestSeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("starts MuJoCo in workers")
	}
	draws := func(w envbridge.Worker, seed int64) []float32 {
		env := start(t, w)
		reset(t, env, 99)
		obs := reset(t, env, seed)
		d := make([]float32, env.Spec().Copies)
		for i := range d {
			d[i] = obs[3*i+2]
		}
		return d
	}
	one := probe("Probe", nil)
	one.Copies = 4
	two := one
	two.Copies, two.Processes = 2, 2
	all := draws(one, 3)
	require.Equal(t, all, draws(two, 3))
	require.Equal(t, all[1:], draws(two, 4)[:3])
	require.NotEqual(t, all[0], all[1])
}

// Ensure that misuse is told, with the place, and does no harm.
func TestMisuse(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, err := envbridge.Start(ctx, envbridge.Worker{})
	require.EqualError(t, err, "envbridge: no environment given")
	_, err = envbridge.Start(ctx, envbridge.Worker{Env: "x", Copies: -1})
	require.ErrorContains(t, err, "-1 copies")
	_, err = envbridge.Start(ctx, envbridge.Worker{Env: "x", Python: "/no/such/python"})
	require.ErrorIs(t, err, python.ErrNone)
	_, err = envbridge.Dial(ctx, "udp://1.2.3.4:5", envbridge.Worker{Env: "x"})
	require.ErrorContains(t, err, "want tcp://host:port")

	env := start(t, envbridge.Worker{Env: "stein_env:stein/MultiGoal-v0"})
	_, err = env.Reset(ctx, -1)
	require.ErrorContains(t, err, "seed -1")
	reset(t, env, 0)
	_, err = env.Recv(ctx)
	require.ErrorContains(t, err, "Recv without Send")
	require.ErrorContains(t, env.Send(ctx, make([]float32, 3)), "got 3 action numbers for 1 copies")
	nan := float32(math.NaN())
	require.ErrorContains(t, env.Send(ctx, []float32{0, nan}), "action NaN for copy 0")
	require.NoError(t, env.Send(ctx, []float32{0, 0}))
	require.ErrorContains(t, env.Send(ctx, []float32{0, 0}), "call Recv first")
	_, err = env.Reset(ctx, 0)
	require.ErrorContains(t, err, "call Recv first")
	_, err = env.Recv(ctx)
	require.NoError(t, err)

	require.NoError(t, env.Close())
	require.NoError(t, env.Close())
	require.ErrorContains(t, env.Send(ctx, []float32{0, 0}), "closed")
}

// Ensure that a wait ends with its context, and can be taken up again.
func TestContext(t *testing.T) {
	t.Parallel()
	w := probe("Probe", map[string]any{"act": "hang", "at": 2})
	w.Timeout = 2 * time.Second
	env := start(t, w)
	reset(t, env, 0)
	step(t, env, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := tryStep(ctx, env, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	s, err := env.Recv(t.Context())
	require.NoError(t, err)
	require.True(t, s.Lost)
	step(t, env, 0)
}

// Ensure that a step takes no memory but what the binding of ZeroMQ takes for a
// message, whatever its size.
func TestAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("starts MuJoCo in workers")
	}
	count := func(copies int) float64 {
		env := start(t, envbridge.Worker{Env: "stein_env:stein/MultiGoal-v0", Copies: copies})
		reset(t, env, 0)
		ctx, action := t.Context(), make([]float32, 2*copies)
		return testing.AllocsPerRun(200, func() {
			if err := env.Send(ctx, action); err != nil {
				t.Fatal(err)
			}
			if _, err := env.Recv(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
	// RecvBytes: the message and its copy. GetRcvmore: the option and its size.
	const binding = 4
	require.LessOrEqual(t, count(1), float64(binding))
	require.LessOrEqual(t, count(64), float64(binding))
}

// Ensure that a copy can be drawn, between steps, if that was asked for at the start.
func TestRender(t *testing.T) {
	if testing.Short() {
		t.Skip("starts MuJoCo in workers")
	}
	w := envbridge.Worker{Env: "stein_env:stein/MultiGoalWalls-v0", Copies: 2, Processes: 2, Render: true}
	env := start(t, w)
	reset(t, env, 0)
	require.NoError(t, env.Send(t.Context(), []float32{0, 0, 0, 0, 0, 0, 1, 1}))
	_, err := env.Render(t.Context(), 3)
	require.ErrorContains(t, err, "step in progress: true")
	_, err = env.Recv(t.Context())
	require.NoError(t, err)
	still, err := env.Render(t.Context(), 2)
	require.NoError(t, err)
	moved, err := env.Render(t.Context(), 3)
	require.NoError(t, err)
	require.Equal(t, [2]int{280, 280}, [2]int{moved.Width, moved.Height})
	require.Len(t, moved.RGB, 3*280*280)
	require.NotEqual(t, still.RGB, moved.RGB)
	_, err = env.Render(t.Context(), 4)
	require.ErrorContains(t, err, "cannot render copy 4 of 4")

	blind := start(t, probe("Probe", nil))
	reset(t, blind, 0)
	_, err = blind.Render(t.Context(), 0)
	var refused *envbridge.RefusedError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "opened without render")
	step(t, blind, 0)
}
