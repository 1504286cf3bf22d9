package agents_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
)

// lossyOnce loses its worker in the middle of the first episodes.
type lossyOnce struct {
	envbridge.Env
	steps int
}

func (l *lossyOnce) Recv(ctx context.Context) (envbridge.Step, error) {
	step, err := l.Env.Recv(ctx)
	if l.steps++; err == nil && l.steps == 5 {
		step.Lost = true
		step.Obs, err = l.Env.Reset(ctx, 1000)
	}
	return step, err
}

// Ensure that exactly the episodes asked for are played, the same ones each time,
// and that which ones count does not depend on how long they or others last.
func TestEvaluate(t *testing.T) {
	env, agent := walks(t, 3, 0), &pupil{}
	evaluate := func(env envbridge.Env, episodes int) agents.Evaluation {
		e, err := agents.Evaluate(t.Context(), env, agent, nil, episodes, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Returns) != episodes || len(e.Lengths) != episodes {
			t.Fatalf("%d returns and %d lengths of %d episodes", len(e.Returns), len(e.Lengths), episodes)
		}
		for i, n := range e.Lengths {
			if n < 5 || n > 20 || e.Returns[i] == 0 {
				t.Errorf("episode %d: %d steps, return %v", i, n, e.Returns[i])
			}
		}
		return e
	}
	few, many := evaluate(env, 4), evaluate(env, 8)
	if !slices.Equal(few.Returns, many.Returns[:4]) || !slices.Equal(few.Lengths, many.Lengths[:4]) {
		t.Errorf("episodes 0 to 3 differ: %v, %v", few, many)
	}
	if slices.Min(many.Lengths) == slices.Max(many.Lengths) {
		t.Error("all episodes have one length: the test shows nothing")
	}

	lost := &lossyOnce{Env: env}
	if again := evaluate(lost, 4); again.Lengths[0] == few.Lengths[0] && again.Returns[0] == few.Returns[0] {
		t.Error("the interrupted episode was counted")
	}
	if len(agent.seeds) != 3 || agent.seeds[0] != 7 {
		t.Errorf("greedy actions were seeded by %v", agent.seeds)
	}
	if _, err := agents.Evaluate(t.Context(), env, agent, nil, 0, 7); err == nil {
		t.Error("no episodes were taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := agents.Evaluate(ctx, env, agent, nil, 1, 7); err == nil {
		t.Error("an evaluation that was cancelled went on")
	}
}

// The figures of known returns; the interquartile mean is SciPy's
// trim_mean(x, 0.25).
func TestEvaluationFigures(t *testing.T) {
	e := agents.Evaluation{Returns: []float64{9, 1, 2, 3, 4, 100, 5, 6, 7, 8}, Lengths: []int64{1, 2, 3}}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"mean", e.Mean(), 14.5},
		{"std", e.Std(), math.Sqrt(818.25)},
		{"IQM", e.IQM(), 5.5},
		{"length", e.MeanLength(), 2},
		{"recorded", e.Metrics()["eval/mean_reward"], 14.5},
		{"IQM of one", agents.Evaluation{Returns: []float64{3}}.IQM(), 3},
		{"IQM of five", agents.Evaluation{Returns: []float64{1, 2, 3, 4, 50}}.IQM(), 3},
	} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("%s is %v, want %v", c.name, c.got, c.want)
		}
	}
}
