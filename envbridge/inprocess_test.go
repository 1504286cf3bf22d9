package envbridge_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stein-rl/stein/envbridge"
)

// A counter is at its seed's last digit and goes up by each action; it ends at 10.
type counter struct {
	at     float32
	broken bool
}

func (*counter) Sizes() (obsDim, actDim int) { return 2, 1 }

func (c *counter) Reset(seed uint64, obs []float32) error {
	c.at = float32(seed%4) / 4
	obs[0], obs[1] = c.at, 0
	return nil
}

func (c *counter) Step(action, obs []float32) (reward float32, terminated bool, err error) {
	if c.broken {
		return 0, false, errors.New("the shaft is broken")
	}
	c.at += action[0]
	obs[0], obs[1] = c.at, action[0]
	return action[0], c.at >= 10, nil
}

func counters(t *testing.T, copies, maxSteps int) envbridge.Env {
	t.Helper()
	env, err := envbridge.InProcess("go:counter", func() (envbridge.Simulator, error) { return &counter{}, nil }, copies, maxSteps)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// Ensure that an environment in this process does what one behind a bridge does: the true
// successor beside the observation to act on, ends told apart, episodes by their seeds.
func TestInProcess(t *testing.T) {
	env, ctx := counters(t, 2, 12), t.Context()
	if want := (envbridge.Spec{ID: "go:counter", Copies: 2, ObsDim: 2, ActDim: 1, MaxSteps: 12, ObsShape: []int{2}, ActShape: []int{1},
		Bounds: &envbridge.Bounds{Low: []float64{-1}, High: []float64{1}}}); !env.Spec().Equal(want) {
		t.Errorf("%+v", env.Spec())
	}
	play := func(seed int64) (steps []envbridge.Step) {
		obs, err := env.Reset(ctx, seed)
		if err != nil || len(obs) != 4 {
			t.Fatalf("%v, %v", obs, err)
		}
		for range 30 {
			if err := env.Send(ctx, []float32{5, 0.25}); err != nil { // the first is too much: 1
				t.Fatal(err)
			}
			s, err := env.Recv(ctx)
			if err != nil {
				t.Fatal(err)
			}
			s.Next, s.Obs, s.Reward = slices.Clone(s.Next), slices.Clone(s.Obs), slices.Clone(s.Reward)
			s.Terminated, s.Truncated = slices.Clone(s.Terminated), slices.Clone(s.Truncated)
			steps = append(steps, s)
		}
		return steps
	}
	steps := play(3)
	first := slices.IndexFunc(steps, func(s envbridge.Step) bool { return s.Terminated[0] })
	if first != 9 || steps[9].Truncated[0] || steps[9].Next[0] < 10 || steps[9].Obs[0] >= 1 || steps[9].Reward[0] != 1 {
		t.Errorf("the first copy ends at %d: %+v", first, steps[9])
	}
	if s := steps[11]; s.Terminated[1] || !s.Truncated[1] || s.Next[2] < 3 || s.Obs[2] >= 1 || s.Next[3] != 0.25 {
		t.Errorf("the second copy at its limit: %+v", s)
	}
	if s := steps[12]; s.Truncated[1] || s.Next[2] >= 2 {
		t.Errorf("after it: %+v", s)
	}
	again := play(3)
	for i := range steps {
		if !slices.Equal(steps[i].Obs, again[i].Obs) {
			t.Fatalf("step %d of the same seed: %v, %v", i, steps[i].Obs, again[i].Obs)
		}
	}
}

// Ensure that what makes no sense, and what a simulator could not do, is an error that
// says so, and that the environment can be begun anew after it.
func TestInProcessErrors(t *testing.T) {
	ctx := t.Context()
	env := counters(t, 1, 0)
	if err := env.Send(ctx, []float32{0}); err == nil {
		t.Error("a step before the first Reset")
	}
	if _, err := env.Recv(ctx); err == nil {
		t.Error("a Recv without a Send")
	}
	if _, err := env.Reset(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := env.Send(ctx, []float32{0, 0}); err == nil {
		t.Error("an action of another size")
	}
	broken, err := envbridge.InProcess("go:counter", func() (envbridge.Simulator, error) { return &counter{broken: true}, nil }, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broken.Reset(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := broken.Send(ctx, []float32{0, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := broken.Recv(ctx); err == nil || !strings.Contains(err.Error(), "go:counter, copy 1: step 1: the shaft is broken") {
		t.Errorf("error %v", err)
	}
	if _, err := broken.Reset(ctx, 1); err != nil {
		t.Errorf("after an error: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := broken.Reset(ended, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
