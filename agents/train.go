package agents

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/figures"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/replay"
)

// A Loop is a training run: its parts and its length. The caller closes Agent, Buffer and
// Envs.
type Loop struct {
	Envs     []envbridge.Env // of one environment; stepped in turn
	Agent    Updater
	Buffer   replay.Buffer // its Copies is the total of Envs
	Schedule Schedule
	Steps    int64 // environment steps in total; a step of one copy counts as one

	Seed    uint64 // seed of uniform actions and minibatches
	EnvSeed int64  // seed of the environments; copies count up from it

	Normalizer Normalizer // nil: none
	Recorder   Recorder   // nil: none
	Every      int64      // environment steps between records; 0: only the last
	Periodic   []Periodic

	workers []*worker
	anew    bool // reset all episodes after this turn
	state   LoopState
	batch   replay.Batch
	clock   figures.Clock
	figures figures.Averages
}

// A Periodic task runs whenever the number of steps passes a multiple of Every (0:
// never). It runs between two turns, when State, the agent and the buffer are consistent.
type Periodic struct {
	Every int64
	Do    func(ctx context.Context, step int64) error
}

// Train steps the environments and trains the agent until exactly Steps environment steps
// are done. It starts new episodes, so it can resume from a LoopState with the matching
// agent and buffer.
//
// In each turn it receives the result of one environment's last action, stores it, and
// sends the next action. While the simulator works, the agent learns. With the same seed
// the result is the same, for any number of environments.
//
// After an error, including ctx's, the loop is between two turns: agent, buffer and
// State are those of the last good step and can be saved.
func (l *Loop) Train(ctx context.Context) error {
	l.clock = figures.NewClock(l.state.Step, "act", "env_wait", "sample", "update")
	if err := l.start(ctx); err != nil {
		return err
	}
	for turn := 0; l.state.Step < l.Steps; turn++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("agents: stopped after step %d: %w", l.state.Step, err)
		}
		w := l.workers[turn%len(l.workers)]

		stop := l.clock.Phase("env_wait")
		step, err := w.env.Recv(ctx)
		stop()
		if err != nil {
			return fmt.Errorf("agents: after step %d: %w", l.state.Step, err)
		}
		w.sent = false
		before := l.state.Step
		if err := l.remember(w, step); err != nil {
			return err
		}
		if l.state.Step < l.Steps {
			if err := l.act(ctx, w, step.Obs); err != nil {
				return err
			}
		}
		if err := l.learn(before); err != nil {
			return err
		}
		if err := l.report(ctx, before); err != nil {
			return err
		}
		if l.anew {
			if err := l.start(ctx); err != nil {
				return err
			}
			turn = -1 // start with the first worker
		}
	}
	return l.drain(ctx)
}

// Anew truncates the current episodes and starts new ones after the Periodic task that
// calls it, as Train does when it resumes from a State. A run resumed from that State
// then equals an uninterrupted one.
func (l *Loop) Anew() { l.anew = true }

// remember adds the results of a worker's action to the buffer, up to Steps.
func (l *Loop) remember(w *worker, step envbridge.Step) error {
	spec := w.env.Spec()
	if step.Lost {
		w.cut(l.Buffer)
		return nil
	}
	if l.Normalizer != nil {
		l.Normalizer.Observe(w.first, step.Obs, step.Reward, step.Terminated, step.Truncated)
	}
	for i := range min(int64(spec.Copies), l.Steps-l.state.Step) {
		t := replay.Transition{
			Copy: w.first + int(i),
			Obs:  row(w.obs, i, spec.ObsDim), Action: row(w.action, i, spec.ActDim), Next: row(step.Next, i, spec.ObsDim),
			Reward: step.Reward[i], Terminated: step.Terminated[i], Truncated: step.Truncated[i],
		}
		if err := l.Buffer.Add(t); err != nil {
			return fmt.Errorf("agents: step %d, copy %d of %s: %w", l.state.Step+1, i, spec.ID, err)
		}
		l.state.Step++
		if length := w.score(i, t); length > 0 {
			l.state.episode(w.lastReturn, length)
		}
	}
	return nil
}

// act chooses actions for obs, at random for the first RandomSteps, and sends them.
func (l *Loop) act(ctx context.Context, w *worker, obs []float32) error {
	defer l.clock.Phase("act")()
	copy(w.obs, obs)
	if l.state.Step < l.Schedule.RandomSteps {
		rng := rand.New(rand.NewPCG(random.Mix(l.Seed, randomStream), uint64(l.state.Step)<<16|uint64(w.first)))
		for i := range w.action {
			w.action[i] = 2*rng.Float32() - 1
		}
	} else {
		l.progress()
		action, err := l.Agent.Act(l.normalized(w.obs), false)
		if err != nil {
			return fmt.Errorf("agents: after step %d: %w", l.state.Step, err)
		}
		copy(w.action, action)
	}
	if err := w.env.Send(ctx, w.action); err != nil {
		return fmt.Errorf("agents: after step %d: %w", l.state.Step, err)
	}
	w.sent = true
	return nil
}

// learn makes the updates that are due after the steps since before.
func (l *Loop) learn(before int64) error {
	c := l.Schedule
	if learned := l.state.Step - max(before, c.LearningStarts); learned > 0 {
		l.state.Owed += float64(learned) * c.UpdateToData
	}
	if before/c.TrainEvery == l.state.Step/c.TrainEvery {
		return nil
	}
	for l.state.Owed >= float64(c.FusedUpdates) {
		if err := l.update(c.FusedUpdates); err != nil {
			return err
		}
		l.state.Owed -= float64(c.FusedUpdates)
	}
	return nil
}

// update draws k minibatches and updates the agent with them.
func (l *Loop) update(k int) error {
	stop := l.clock.Phase("sample")
	rng := rand.New(rand.NewPCG(random.Mix(l.Seed, batchStream), l.state.Batches))
	err := l.Buffer.Sample(&l.batch, k*l.Schedule.BatchSize, rng)
	if err == nil && l.Normalizer != nil {
		l.Normalizer.Obs(l.batch.Obs)
		l.Normalizer.Obs(l.batch.Next)
		l.Normalizer.Reward(l.batch.Reward)
	}
	stop()
	if err != nil {
		return fmt.Errorf("agents: after step %d: %w", l.state.Step, err)
	}
	defer l.clock.Phase("update")()
	l.progress()
	m, err := l.Agent.Update(&l.batch)
	if err != nil {
		return fmt.Errorf("agents: after step %d: %w", l.state.Step, err)
	}
	l.state.Batches++
	l.figures.Add(m)
	if p, ok := l.Buffer.(replay.Prioritizer); ok {
		if judge, ok := l.Agent.(Judge); ok {
			p.Reprioritize(l.batch.Index, judge.AbsError())
		}
	}
	return nil
}

// report records figures and runs the periodic tasks that are due.
func (l *Loop) report(ctx context.Context, before int64) error {
	due := func(every int64) bool { return every > 0 && before/every != l.state.Step/every }
	if l.Recorder != nil && (due(l.Every) || l.state.Step == l.Steps) {
		m := l.clock.Metrics(l.state.Step)
		l.state.metrics(m)
		l.figures.Take(m)
		if err := l.Recorder.Record(l.state.Step, m); err != nil {
			return fmt.Errorf("agents: recording step %d: %w", l.state.Step, err)
		}
	}
	defer l.clock.Pause()()
	for _, p := range l.Periodic {
		if due(p.Every) {
			if err := p.Do(ctx, l.state.Step); err != nil {
				return err
			}
		}
	}
	return nil
}
