package agents_test

import (
	"context"
	"maps"
	"math"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/replay"
)

// A walk goes along a line, from a place that follows from the seed, by its actions. It
// ends at 3 or after its limit; the reward is where it was.
type walk struct {
	at    float32
	limit int
}

func (*walk) Sizes() (obsDim, actDim int) { return 2, 1 }
func (w *walk) MaxSteps() int             { return w.limit }

func (w *walk) Reset(seed uint64, obs []float32) error {
	w.at = float32(seed%1000) / 1000 // never 0 and 1 alike
	obs[0], obs[1] = w.at, -1        // −1: an episode begins
	return nil
}

func (w *walk) Step(action, obs []float32) (reward float32, terminated bool, err error) {
	reward = w.at
	w.at += action[0]
	obs[0], obs[1] = w.at, action[0]
	return reward, w.at >= 3, nil
}

// walks are copies of a walk.
func walks(t testing.TB, copies, limit int) envbridge.Env {
	t.Helper()
	env, err := envbridge.InProcess("walk", func() (envbridge.Simulator, error) { return &walk{limit: limit}, nil }, copies, 0)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// A pupil goes up by 0.5, or 0.25 where it is greedy, and notes what it is told.
type pupil struct {
	seen     []float32      // observations of the last Act
	begun    int            // episodes, of the first copy
	updates  []replay.Batch // without what is in them, but for Obs and Reward
	progress float64
	seeds    []uint64
	fail     error
}

func (p *pupil) Act(obs []float32, greedy bool) ([]float32, error) {
	if obs[1] == -1 {
		p.begun++
	}
	p.seen = append([]float32(nil), obs...)
	action := make([]float32, len(obs)/2)
	for i := range action {
		action[i] = 0.5
		if greedy {
			action[i] = 0.25 + obs[2*i]/100
		}
	}
	return action, nil
}

func (p *pupil) Update(b *replay.Batch) (agents.Metrics, error) {
	if p.fail != nil {
		return nil, p.fail
	}
	p.updates = append(p.updates, replay.Batch{N: b.N, Obs: append([]float32(nil), b.Obs...), Reward: append([]float32(nil), b.Reward...)})
	return agents.Metrics{"train/n_updates": float64(len(p.updates))}, nil
}

func (p *pupil) AbsError() []float32 {
	errors := make([]float32, p.updates[len(p.updates)-1].N)
	for i := range errors {
		errors[i] = 7
	}
	return errors
}

func (p *pupil) SetProgress(share float64) { p.progress = share }
func (p *pupil) SeedGreedy(seed uint64)    { p.seeds = append(p.seeds, seed) }

var (
	_ agents.Updater   = (*pupil)(nil)
	_ agents.Judge     = (*pupil)(nil)
	_ agents.Scheduled = (*pupil)(nil)
	_ agents.Reseeder  = (*pupil)(nil)
)

// memory is a replay buffer for environments.
func memory(t testing.TB, envs ...envbridge.Env) replay.Buffer {
	t.Helper()
	copies := 0
	for _, env := range envs {
		copies += env.Spec().Copies
	}
	b, err := replay.New(replay.Config{Capacity: 1000, Copies: copies, ObsDim: 2, ActDim: 1, NStep: 1, Gamma: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newLoop is a loop of a pupil that learns at each step, after ten by chance.
func newLoop(t testing.TB, steps int64, envs ...envbridge.Env) (*agents.Loop, *pupil) {
	p := &pupil{}
	return &agents.Loop{
		Envs: envs, Agent: p, Buffer: memory(t, envs...), Steps: steps, Seed: 3, EnvSeed: 5,
		Schedule: agents.Schedule{BatchSize: 4, RandomSteps: 10, LearningStarts: 10, TrainEvery: 1, UpdateToData: 1, FusedUpdates: 1},
	}, p
}

// figures keeps what a loop records, the last of each.
type figures struct {
	steps []int64
	last  agents.Metrics
}

func (f *figures) Record(step int64, m agents.Metrics) error {
	f.steps = append(f.steps, step)
	maps.Copy(f.last, m)
	return nil
}

// faulty is an Env whose n-th step is spoilt.
type faulty struct {
	envbridge.Env
	at, steps int
	spoil     func(s *envbridge.Step)
}

func (f *faulty) Recv(ctx context.Context) (envbridge.Step, error) {
	step, err := f.Env.Recv(ctx)
	if f.steps++; f.steps == f.at {
		f.spoil(&step)
	}
	return step, err
}

func isNaN(x float32) bool { return math.IsNaN(float64(x)) }
