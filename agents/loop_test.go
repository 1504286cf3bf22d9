package agents_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/replay"
)

// everything is all that a buffer holds, many times over.
func everything(t *testing.T, b replay.Buffer) replay.Batch {
	t.Helper()
	var all replay.Batch
	if err := b.Sample(&all, 3000, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	return all
}

// Ensure that a loop acts by chance and learns when its schedule says so, to the step,
// with two environments of several copies.
func TestSchedule(t *testing.T) {
	envs := []envbridge.Env{walks(t, 3, 20), walks(t, 2, 20)}
	loop, pupil := newLoop(t, 301, envs...)
	loop.Schedule = agents.Schedule{BatchSize: 4, RandomSteps: 60, LearningStarts: 90, TrainEvery: 10, UpdateToData: 0.5, FusedUpdates: 5}
	rec := &figures{last: agents.Metrics{}}
	loop.Recorder, loop.Every = rec, 100
	if err := loop.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	if step, kept := loop.State().Step, loop.Buffer.Len(); step != 301 || kept != 301 {
		t.Errorf("%d steps, %d transitions, want 301", step, kept)
	}
	// 211 steps after LearningStarts at half an update each, in fives, seen every ten.
	if n := len(pupil.updates); n != 21 || pupil.updates[0].N != 20 {
		t.Errorf("%d rounds of updates of %d transitions, want 21 of 20", n, pupil.updates[0].N)
	}
	if !slices.Equal(rec.steps, []int64{102, 202, 300, 301}) && len(rec.steps) != 4 {
		t.Errorf("recorded at %v", rec.steps)
	}
	for _, name := range []string{"rollout/ep_rew_mean", "rollout/ep_len_mean", "time/fps", "time/act", "time/env_wait", "time/sample", "time/update", "train/n_updates"} {
		if x, ok := rec.last[name]; !ok || math.IsNaN(x) || math.IsInf(x, 0) {
			t.Errorf("%s is %v (recorded: %v)", name, x, ok)
		}
	}
	if n := rec.last["train/n_updates"]; n != 21 {
		t.Errorf("%g rounds of updates are recorded at the end, want all 21", n)
	}
	if !(pupil.progress > 0.9 && pupil.progress <= 1) {
		t.Errorf("progress %g at the end", pupil.progress)
	}
	byPupil := 0
	all := everything(t, loop.Buffer)
	for i := range all.N {
		if all.Action[i] == 0.5 {
			byPupil++
		}
	}
	if share := float64(byPupil) / float64(all.N); math.Abs(share-240./301) > 0.05 {
		t.Errorf("%.2f of the actions are the agent's, want %.2f", share, 240./301)
	}
}

// Ensure that what is remembered as an action's outcome is the true successor, where
// episodes end by themselves and at their limit, and that these ends are told apart.
func TestTrueSuccessor(t *testing.T) {
	loop, _ := newLoop(t, 200, walks(t, 2, 7))
	if err := loop.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends := map[string]int{}
	all := everything(t, loop.Buffer)
	for i := range all.N {
		obs, next, action := all.Obs[2*i], all.Next[2*i:2*i+2], all.Action[i]
		if math.Abs(float64(next[0]-obs-action)) > 1e-6 || next[1] != action || all.Reward[i] != obs {
			t.Fatalf("from %v by %g to %v, reward %g", all.Obs[2*i:2*i+2], action, next, all.Reward[i])
		}
		if ended := next[0] >= 3; ended != (all.Discount[i] == 0) {
			t.Fatalf("at %v with a discount of %g", next, all.Discount[i])
		} else if ended {
			ends["terminated"]++
		}
	}
	if ends["terminated"] == 0 || loop.State().Episodes < 20 || slices.Max(loop.State().Lengths) != 7 || slices.Min(loop.State().Lengths) == 7 {
		t.Errorf("%v, %+v: the test shows nothing", ends, loop.State())
	}
}

// Ensure that a reward that is no number stops the run by name, at the last good step.
func TestStopsAtNaNReward(t *testing.T) {
	env := &faulty{Env: walks(t, 1, 20), at: 31, spoil: func(s *envbridge.Step) { s.Reward[0] = float32(math.NaN()) }}
	loop, _ := newLoop(t, 100, env)
	err := loop.Train(t.Context())
	if err == nil || !strings.Contains(err.Error(), "step 31") || !strings.Contains(err.Error(), "reward") || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("error %v", err)
	}
	if step, kept := loop.State().Step, loop.Buffer.Len(); step != 30 || kept != 30 {
		t.Errorf("%d steps, %d transitions, want 30", step, kept)
	}
}

// Ensure that an update that fails stops the run, by its step.
func TestStopsAtFailedUpdate(t *testing.T) {
	loop, pupil := newLoop(t, 100, walks(t, 1, 20))
	loop.Periodic = []agents.Periodic{{Every: 40, Do: func(context.Context, int64) error { pupil.fail = errors.New("too much"); return nil }}}
	if err := loop.Train(t.Context()); err == nil || !strings.Contains(err.Error(), "after step 41: too much") {
		t.Errorf("error %v", err)
	}
}

// Ensure that a step without an outcome is not remembered, and costs no step.
func TestLostStep(t *testing.T) {
	env := &faulty{Env: walks(t, 2, 20), at: 20, spoil: func(s *envbridge.Step) {
		s.Lost = true
		for i := range s.Next {
			s.Next[i] = float32(math.NaN())
		}
	}}
	loop, _ := newLoop(t, 100, env)
	if err := loop.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	if env.steps != 51 || loop.Buffer.Len() != 100 {
		t.Errorf("%d steps of 2 copies, %d transitions, want 51 and 100", env.steps, loop.Buffer.Len())
	}
	if all := everything(t, loop.Buffer); slices.ContainsFunc(all.Next, isNaN) {
		t.Error("a transition leads to where nothing is")
	}
}

// Ensure that one seed gives one run, and that one which was broken off and goes on in
// another loop equals one that was only broken off.
func TestSameRun(t *testing.T) {
	breakOff := func(l *agents.Loop) {
		ctx, cancel := context.WithCancel(t.Context())
		l.Periodic = []agents.Periodic{{Every: 50, Do: func(context.Context, int64) error { cancel(); return nil }}}
		if err := l.Train(ctx); !errors.Is(err, context.Canceled) || l.State().Step != 50 {
			t.Fatalf("error %v at step %d", err, l.State().Step)
		}
		l.Periodic = nil
	}
	same := func(a, b *pupil) {
		t.Helper()
		if fmt.Sprint(a.updates) != fmt.Sprint(b.updates) {
			t.Error("they learned from other batches")
		}
	}
	one, pupilOne := newLoop(t, 120, walks(t, 2, 9), walks(t, 1, 9))
	two, pupilTwo := newLoop(t, 120, walks(t, 2, 9), walks(t, 1, 9))
	breakOff(one)
	breakOff(two)
	three := *two // a new loop, but for what a checkpoint has
	three = agents.Loop{Envs: []envbridge.Env{walks(t, 2, 9), walks(t, 1, 9)}, Agent: pupilTwo, Buffer: two.Buffer, Schedule: two.Schedule, Steps: 120, Seed: two.Seed, EnvSeed: two.EnvSeed}
	three.SetState(two.State())
	for _, l := range []*agents.Loop{one, &three} {
		if err := l.Train(t.Context()); err != nil || l.State().Step != 120 {
			t.Fatalf("error %v at step %d", err, l.State().Step)
		}
	}
	same(pupilOne, pupilTwo)
	other, pupilOther := newLoop(t, 120, walks(t, 2, 9), walks(t, 1, 9))
	other.Seed++
	breakOff(other)
	if err := other.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(pupilOther.updates) == fmt.Sprint(pupilOne.updates) {
		t.Error("another seed gave the same batches")
	}
}

// Ensure that episodes begin anew where a task asks for it, and no other step is lost.
func TestAnew(t *testing.T) {
	loop, pupil := newLoop(t, 60, walks(t, 1, 50))
	loop.Schedule.RandomSteps = 0
	loop.Periodic = []agents.Periodic{{Every: 4, Do: func(context.Context, int64) error { loop.Anew(); return nil }}}
	if err := loop.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pupil.begun != 15 || loop.Buffer.Len() != 60 {
		t.Errorf("%d episodes of four steps, %d transitions", pupil.begun, loop.Buffer.Len())
	}
}

// tenfold shows ten times what is there.
type tenfold struct{ observed int }

func (n *tenfold) Observe(_ int, obs, _ []float32, _, _ []bool) { n.observed += len(obs) }
func (n *tenfold) Obs(rows []float32)                           { times(rows) }
func (n *tenfold) Reward(rewards []float32)                     { times(rewards) }

func times(x []float32) {
	for i := range x {
		x[i] *= 10
	}
}

// Ensure that an agent sees and learns from what is normalised, and the memory keeps
// what is raw.
func TestNormalizer(t *testing.T) {
	loop, pupil := newLoop(t, 80, walks(t, 2, 9))
	norm := &tenfold{}
	loop.Normalizer = norm
	if err := loop.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw := everything(t, loop.Buffer)
	if top := slices.Max(raw.Obs); !(top < 3.1) {
		t.Errorf("%g is remembered", top)
	}
	top := float32(0)
	for _, u := range pupil.updates {
		top = max(top, slices.Max(u.Obs))
	}
	if !(top > 20) || slices.Max(pupil.updates[len(pupil.updates)-1].Reward) < 5 || norm.observed != 160 {
		t.Errorf("learned from at most %g, %d numbers observed", top, norm.observed)
	}
	if last := pupil.seen[1]; last != 5 && last != -10 { // ten times the last action, or a beginning
		t.Errorf("acted at %v", pupil.seen)
	}
}

// Ensure that a memory with priorities hears how wrong the agent was.
func TestJudge(t *testing.T) {
	loop, _ := newLoop(t, 40, walks(t, 1, 9))
	told := &prioritizer{Buffer: loop.Buffer}
	loop.Buffer = told
	if err := loop.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	if told.count != 30*4 || told.last != 7 {
		t.Errorf("told %d errors, the last one %g", told.count, told.last)
	}
}

type prioritizer struct {
	replay.Buffer
	count int
	last  float32
}

func (p *prioritizer) Reprioritize(_ []int64, errors []float32) {
	p.count, p.last = p.count+len(errors), errors[len(errors)-1]
}

// Ensure that a loop that lacks something, or whose environments differ, says so.
func TestCheck(t *testing.T) {
	for want, change := range map[string]func(*agents.Loop){
		"a loop needs":      func(l *agents.Loop) { l.Agent = nil },
		"TrainEvery 0":      func(l *agents.Loop) { l.Schedule.TrainEvery = 0 },
		"observations of 3": func(l *agents.Loop) { l.Envs = append(l.Envs, wider{l.Envs[0]}) },
	} {
		loop, _ := newLoop(t, 10, walks(t, 1, 9))
		change(loop)
		if err := loop.Train(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

type wider struct{ envbridge.Env }

func (w wider) Spec() envbridge.Spec { s := w.Env.Spec(); s.ObsDim++; return s }
