package agents_test

import (
	"context"
	"testing"
	"time"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
)

// plain is an environment in this process whose copy i ends its episodes after
// lengths[i] steps; 0: never. Each step is rewarded by 1.
type plain struct {
	lengths []int
	limit   int // that its Spec has
	steps   []int
	seeds   []int64
	lost    int // the step that a worker is lost in
	total   int
}

func (p *plain) Spec() envbridge.Spec {
	return envbridge.Spec{ID: "plain", Copies: len(p.lengths), ObsDim: 1, ActDim: 1, MaxSteps: p.limit}
}

func (p *plain) Reset(_ context.Context, seed int64) ([]float32, error) {
	p.steps, p.seeds = make([]int, len(p.lengths)), append(p.seeds, seed)
	return make([]float32, len(p.lengths)), nil
}

func (p *plain) Send(context.Context, []float32) error { return nil }

func (p *plain) Recv(ctx context.Context) (envbridge.Step, error) {
	n := len(p.lengths)
	s := envbridge.Step{Next: make([]float32, n), Obs: make([]float32, n), Reward: make([]float32, n), Terminated: make([]bool, n), Truncated: make([]bool, n)}
	p.total++
	s.Lost = p.total == p.lost
	for i, length := range p.lengths {
		p.steps[i]++
		s.Reward[i] = 1
		if s.Terminated[i] = p.steps[i] == length; s.Terminated[i] || s.Lost {
			p.steps[i] = 0
		}
	}
	return s, ctx.Err()
}

func (p *plain) Close() error { return nil }

type idler struct{ agents.Agent }

func (idler) Act(obs []float32, _ bool) ([]float32, error) { return make([]float32, len(obs)), nil }

// Ensure that an evaluation comes to its end where episodes don't: those are cut, each
// begins with a reset, and those that end by themselves count whole.
func TestEvaluateEndless(t *testing.T) {
	const cut = agents.EpisodeLimit
	for name, c := range map[string]struct {
		env      *plain
		episodes int
		want     []int64
		resets   int
		cut      int
	}{
		"one copy":                   {&plain{lengths: []int{0}}, 3, []int64{cut, cut, cut}, 3, 3},
		"as many copies as episodes": {&plain{lengths: []int{0, 0}}, 2, []int64{cut, cut}, 1, 2},
		"some end":                   {&plain{lengths: []int{0, 300}}, 4, []int64{cut, 300, cut, 300}, 2, 2},
		"just in time":               {&plain{lengths: []int{cut}}, 2, []int64{cut, cut}, 1, 0},
		"a worker is lost":           {&plain{lengths: []int{0, 0}, lost: 10}, 2, []int64{cut, cut}, 1, 2},
		"a limit of its own":         {&plain{lengths: []int{3 * cut}, limit: 3 * cut}, 1, []int64{3 * cut}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := agents.Evaluate(t.Context(), c.env, idler{}, nil, c.episodes, 7)
			if err != nil {
				t.Fatal(err)
			}
			for i, n := range c.want {
				if e.Lengths[i] != n || e.Returns[i] != float64(n) {
					t.Errorf("episode %d: %d steps, return %g; want %d", i, e.Lengths[i], e.Returns[i], n)
				}
			}
			if e.Cut != c.cut || len(c.env.seeds) != c.resets {
				t.Errorf("%d cut, seeds %v; want %d and %d resets", e.Cut, c.env.seeds, c.cut, c.resets)
			}
		})
	}
}

// Ensure that an evaluation ends at once when it is told to, whatever its episodes do.
func TestEvaluateIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := agents.Evaluate(ctx, &plain{lengths: []int{0}, limit: 1 << 40}, idler{}, nil, 1, 7); err == nil {
		t.Error("an episode without end ended")
	}
}
