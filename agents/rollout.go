package agents

import (
	"context"
	"errors"
	"fmt"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/figures"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/replay"
)

// A Normaliser scales observations and rewards by running statistics. The buffer and all
// returns stay raw.
type Normalizer interface {
	// Observe updates the statistics with a step of a worker's copies, numbered from
	// first.
	Observe(first int, obs, reward []float32, terminated, truncated []bool)
	// Obs and Reward scale rows in place with the current statistics.
	Obs(rows []float32)
	Reward(rewards []float32)
}

// LoopState is a Loop's state between turns, and across an interruption.
type LoopState struct {
	Step     int64     `json:"step"`    // environment steps
	Batches  uint64    `json:"batches"` // draws of minibatches
	Owed     float64   `json:"owed"`    // updates that are due
	Episodes int64     `json:"episodes"`
	Returns  []float64 `json:"returns"` // of the last episodes, raw
	Lengths  []float64 `json:"lengths"`
}

// State is the loop's progress, to save and resume.
func (l *Loop) State() LoopState { return l.state }

// SetState makes Train resume from s.
func (l *Loop) SetState(s LoopState) { l.state = s }

const window = 100 // number of episodes that rollout figures average over

func (s *LoopState) episode(sum float64, length int64) {
	s.Episodes++
	s.Returns, s.Lengths = append(s.Returns, sum), append(s.Lengths, float64(length))
	if n := len(s.Returns) - window; n > 0 {
		s.Returns, s.Lengths = append([]float64(nil), s.Returns[n:]...), append([]float64(nil), s.Lengths[n:]...)
	}
}

func (s *LoopState) metrics(m Metrics) {
	m["time/episodes"] = float64(s.Episodes)
	if len(s.Returns) > 0 {
		m["rollout/ep_rew_mean"], m["rollout/ep_len_mean"] = mean(s.Returns), mean(s.Lengths)
	}
}

// A worker is one Env of the loop and the last action sent to it.
type worker struct {
	env         envbridge.Env
	first       int       // number of its first copy among all
	obs, action []float32 // of the step in progress
	sent        bool      // a step is in progress
	sums        []float64 // rewards of the current episodes
	lengths     []int64
	lastReturn  float64
}

// score counts a step of copy i. If the step ends the episode, score returns its length
// and lastReturn is its return; otherwise it returns 0.
func (w *worker) score(i int64, t replay.Transition) int64 {
	w.sums[i] += float64(t.Reward)
	w.lengths[i]++
	if !t.Terminated && !t.Truncated {
		return 0
	}
	length := w.lengths[i]
	w.lastReturn, w.sums[i], w.lengths[i] = w.sums[i], 0, 0
	return length
}

// cut ends all current episodes; their returns stay unknown.
func (w *worker) cut(b replay.Buffer) {
	clear(w.sums)
	clear(w.lengths)
	for i := range w.sums {
		b.Cut(w.first + i)
	}
}

// start resets every copy and sends the first actions.
func (l *Loop) start(ctx context.Context) error {
	if err := l.check(); err != nil {
		return err
	}
	if err := l.drain(ctx); err != nil { // steps that an earlier Train sent
		return err
	}
	l.workers, l.figures, l.anew = nil, figures.Averages{}, false
	if l.state.Step >= l.Steps {
		return nil
	}
	copies := 0
	for _, env := range l.Envs {
		spec := env.Spec()
		w := &worker{
			env: env, first: copies,
			obs: make([]float32, spec.Copies*spec.ObsDim), action: make([]float32, spec.Copies*spec.ActDim),
			sums: make([]float64, spec.Copies), lengths: make([]int64, spec.Copies),
		}
		l.workers = append(l.workers, w)
		w.cut(l.Buffer)
		obs, err := env.Reset(ctx, l.resetSeed()+int64(copies))
		if err != nil {
			return fmt.Errorf("agents: starting %s: %w", spec.ID, err)
		}
		copies += spec.Copies
		if err := l.act(ctx, w, obs); err != nil {
			return err
		}
	}
	return nil
}

// resetSeed gives the episodes after an interruption their own seeds.
func (l *Loop) resetSeed() int64 {
	if l.state.Step == 0 {
		return l.EnvSeed
	}
	return int64(random.Mix(uint64(l.EnvSeed), uint64(l.state.Step)) >> 2)
}

func (l *Loop) check() error {
	if len(l.Envs) == 0 || l.Agent == nil || l.Buffer == nil || l.Steps < 1 {
		return errors.New("agents: a loop needs Envs, an Agent, a Buffer and Steps")
	}
	if l.Schedule.TrainEvery < 1 || l.Schedule.FusedUpdates < 1 || l.Schedule.BatchSize < 1 {
		return fmt.Errorf("agents: TrainEvery %d, FusedUpdates %d, BatchSize %d: want at least 1",
			l.Schedule.TrainEvery, l.Schedule.FusedUpdates, l.Schedule.BatchSize)
	}
	first := l.Envs[0].Spec()
	for _, env := range l.Envs {
		if s := env.Spec(); s.ObsDim != first.ObsDim || s.ActDim != first.ActDim {
			return fmt.Errorf("agents: all Envs must have the same sizes: %s has observations of %d and actions of %d numbers, %s has %d and %d", s.ID, s.ObsDim, s.ActDim, first.ID, first.ObsDim, first.ActDim)
		}
	}
	return nil
}

// drain receives and drops the steps in progress: every Send needs its Recv.
func (l *Loop) drain(ctx context.Context) error {
	for _, w := range l.workers {
		if !w.sent {
			continue
		}
		w.sent = false
		if _, err := w.env.Recv(ctx); err != nil {
			return fmt.Errorf("agents: after step %d: %w", l.state.Step, err)
		}
	}
	return nil
}

// normalized is obs as the agent sees it.
func (l *Loop) normalized(obs []float32) []float32 {
	if l.Normalizer == nil {
		return obs
	}
	scaled := append([]float32(nil), obs...)
	l.Normalizer.Obs(scaled)
	return scaled
}

// progress passes the fraction of training completed to the agent.
func (l *Loop) progress() {
	if s, ok := l.Agent.(Scheduled); ok {
		s.SetProgress(float64(l.state.Step) / float64(l.Steps))
	}
}

func row(x []float32, i int64, width int) []float32 { return x[int(i)*width : (int(i)+1)*width] }

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}
