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

// A Loop is a training run: its parts, and how far it goes. Agent, Buffer and
// Envs are the caller's to close.
type Loop struct {
	Envs     []envbridge.Env // of one environment; they are stepped in turn
	Agent    Updater
	Buffer   replay.Buffer // of as many copies as Envs have together
	Schedule Schedule
	Steps    int64 // environment steps in all; a step of one copy counts one

	Seed    uint64 // of uniform actions and minibatches
	EnvSeed int64  // of the environments; copies count up from it

	Normalizer Normalizer // nil: none
	Recorder   Recorder   // nil: none
	Every      int64      // environment steps between records; 0: none but the last
	Periodic   []Periodic

	workers []*worker
	anew    bool // episodes are to begin anew
	state   LoopState
	batch   replay.Batch
	clock   figures.Clock
	figures figures.Averages
}

// A Periodic task is done whenever the steps pass a multiple of Every, between two
// turns: State, the agent and the buffer then belong together. 0: never.
type Periodic struct {
	Every int64
	Do    func(ctx context.Context, step int64) error
}

// Train steps the environments and teaches the agent until Steps environment steps
// are done, exactly. It starts new episodes, so it can go on from a LoopState with
// the agent and the buffer that belong to it.
//
// Every turn, one environment is asked what its last action led to, that is
// remembered, the next action is sent, and while the simulator works on it the
// agent learns. With one seed all that is the same each time, however many
// environments there are.
//
// After an error, ctx's included, the loop stands between two turns: agent, buffer
// and State are those of the last good step, and can be saved.
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
			turn = -1 // the first worker is next
		}
	}
	return l.drain(ctx)
}

// Anew makes the episodes under way end as truncated once the Periodic task that
// calls it is done, and others begin: what Train does when it goes on from a State.
// A run that goes on from the state of that moment then equals one that never ended.
func (l *Loop) Anew() { l.anew = true }

// remember puts what a worker's action led to into the buffer, but no more than
// Steps allows.
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

// act chooses the actions for obs, at random for the first RandomSteps, and sends
// them.
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

// learn does the updates that the steps since before have made due.
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

// update draws k minibatches and has the agent take them in.
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

// report records figures and does the periodic tasks that are due.
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
