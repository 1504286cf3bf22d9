package sac_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"testing"

	"github.com/stein-rl/stein/agents/sac"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/replay"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// start opens real Gymnasium environments for a test.
func start(t testing.TB, w envbridge.Worker) *envbridge.Bridge {
	t.Helper()
	env, err := envbridge.Start(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { env.Close() })
	return env
}

// settings are a learner's, and those of the loop that it learns in.
type settings struct {
	sac.Config
	agents.Schedule
}

func defaults() settings { return settings{sac.Defaults(), agents.DefaultSchedule()} }

// task is for graphs that run once or twice, which the interpreter does before XLA has
// compiled them. compiled is for those that run a thousand times, or whose test is of XLA.
func (c settings) task(t testing.TB, policy policies.Policy, spec envbridge.Spec, seed uint64) agents.Task {
	return agents.Task{Backend: enginetest.PureGo(t), Spec: spec, Policy: policy, Schedule: c.Schedule, Seed: seed}
}

func (c settings) compiled(t testing.TB, policy policies.Policy, spec envbridge.Spec, seed uint64) agents.Task {
	task := c.task(t, policy, spec, seed)
	task.Backend = enginetest.Backend(t)
	return task
}

// small are settings that learn Pendulum quickly on small networks.
func small() settings {
	c := defaults()
	c.Critic.Hidden = []int{64, 64}
	c.ActorLR, c.CriticLR, c.AlphaLR = 3e-3, 3e-3, 3e-3
	tau := 0.01
	c.BatchSize, c.Tau = 128, &tau
	c.RandomSteps, c.LearningStarts = 500, 500
	return c
}

func gaussian(hidden ...int) policies.Policy {
	p := policies.NewGaussian()
	p.Hidden = hidden
	return p
}

// run is one training run of a test.
type run struct {
	*agents.Loop
	agent *sac.Learner
}

func newRun(t testing.TB, policy policies.Policy, cfg settings, steps int64, seed uint64, envs ...envbridge.Env) *run {
	t.Helper()
	spec := envs[0].Spec()
	agent, err := sac.New(cfg.Config, cfg.compiled(t, policy, spec, seed))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(agent.Close)
	buffer, err := replay.New(replay.Config{
		Capacity: 20_000, Copies: spec.Copies * len(envs), ObsDim: spec.ObsDim, ActDim: spec.ActDim, NStep: cfg.NStep, Gamma: cfg.Gamma,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &run{&agents.Loop{
		Envs: envs, Agent: agent, Buffer: buffer, Schedule: cfg.Schedule, Steps: steps, Seed: seed, EnvSeed: int64(seed),
	}, agent}
}

// values are all variables of a learner, by path.
func values(t testing.TB, s *model.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for v := range s.IterVariables() {
		err := v.MustValue().ConstBytes(func(b []byte) { all[v.Path()] = string(b) })
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// counted is what a learner has counted so far.
func counted(s *sac.Learner) agents.Counters { return *s.State().(*agents.Counters) }

func equal(t *testing.T, a, b *sac.Learner) {
	t.Helper()
	va, vb := values(t, a.Store()), values(t, b.Store())
	if len(va) != len(vb) || len(va) == 0 {
		t.Fatalf("%d and %d variables", len(va), len(vb))
	}
	for path, x := range va {
		if x != vb[path] {
			t.Errorf("%s differs", path)
		}
	}
	if counted(a) != counted(b) {
		t.Errorf("state %+v and %+v", counted(a), counted(b))
	}
}

// Ensure that soft actor-critic learns to swing up Pendulum, with three seeds.
func TestLearnsPendulum(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for minutes")
	}
	const steps = 6_000
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			env := start(t, envbridge.Worker{Env: "Pendulum-v1", Copies: 4})
			r := newRun(t, gaussian(64, 64), small(), steps, seed, env)
			if err := r.Train(t.Context()); err != nil {
				t.Fatal(err)
			}
			result, err := agents.Evaluate(t.Context(), start(t, envbridge.Worker{Env: "Pendulum-v1", Copies: 10}), r.agent, nil, 20, 100)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("mean return %.1f ± %.1f, IQM %.1f", result.Mean(), result.Std(), result.IQM())
			if !(result.Mean() > -250) {
				t.Errorf("mean return %.1f after %d steps, want more than -250", result.Mean(), steps)
			}
			if updates := counted(r.agent).Updates; updates > steps-500 || updates <= steps-500-8 {
				t.Errorf("%d updates in %d steps after the first 500", updates, steps)
			}
		})
	}
}

// Ensure that one seed gives one run, whatever the engine's threads do, and another
// seed another one.
func TestSameSeedSameRun(t *testing.T) {
	if testing.Short() {
		t.Skip("trains twice")
	}
	cfg := small()
	cfg.RandomSteps, cfg.LearningStarts, cfg.BatchSize = 100, 50, 64
	train := func(seed uint64) *sac.Learner {
		envs := []envbridge.Env{
			start(t, envbridge.Worker{Env: "Pendulum-v1", Copies: 2}),
			start(t, envbridge.Worker{Env: "Pendulum-v1"}),
		}
		r := newRun(t, gaussian(32, 32), cfg, 500, seed, envs...)
		if err := r.Train(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := r.State(); s.Step != 500 || r.Buffer.Len() != 500 {
			t.Fatalf("%d steps, %d transitions", s.Step, r.Buffer.Len())
		}
		return r.agent
	}
	a := train(7)
	equal(t, a, train(7))
	path := "/policy/gaussian/out/weights"
	if x := values(t, a.Store())[path]; x == "" || x == values(t, train(8).Store())[path] {
		t.Errorf("%s does not depend on the seed", path)
	}
}

// Ensure that a run that was broken off, saved and read back by a new process goes
// on as one that was only broken off: networks, optimisers, replay, counters,
// random numbers. Both start new episodes at the break.
func TestResumeIsExact(t *testing.T) {
	if testing.Short() {
		t.Skip("trains twice")
	}
	for _, prioritized := range []bool{false, true} {
		t.Run(fmt.Sprint("prioritized ", prioritized), func(t *testing.T) {
			const half, whole = 250, 500
			cfg := small()
			cfg.RandomSteps, cfg.LearningStarts, cfg.BatchSize = 100, 50, 64
			build := func() *run {
				r := newRun(t, gaussian(32, 32), cfg, whole, 3, start(t, envbridge.Worker{Env: "Pendulum-v1"}))
				if prioritized {
					spec := r.Envs[0].Spec()
					shape := replay.Config{Capacity: 1000, Copies: 1, ObsDim: spec.ObsDim, ActDim: spec.ActDim, NStep: 3, Gamma: cfg.Gamma}
					buffer, err := replay.NewPrioritized(shape, replay.DefaultPriority(whole))
					if err != nil {
						t.Fatal(err)
					}
					r.Buffer = buffer
				}
				return r
			}
			breakOff := func(r *run) {
				ctx, cancel := context.WithCancel(t.Context())
				r.Periodic = []agents.Periodic{{Every: half, Do: func(context.Context, int64) error { cancel(); return nil }}}
				if err := r.Train(ctx); !errors.Is(err, context.Canceled) {
					t.Fatalf("error %v after the break", err)
				}
				r.Periodic = nil
				if step := r.State().Step; step != half {
					t.Fatalf("broken off at step %d", step)
				}
			}
			goOn := func(r *run) *sac.Learner {
				if err := r.Train(t.Context()); err != nil {
					t.Fatal(err)
				}
				if step := r.State().Step; step != whole {
					t.Fatalf("ended at step %d", step)
				}
				return r.agent
			}

			one := build()
			breakOff(one)
			atBreak := values(t, one.agent.Store())
			saved, err := checkpoint.Write(t.TempDir(), half, func(w *checkpoint.Writer) error {
				return errors.Join(w.Store("agent", one.agent.Store()), w.JSON("agent", one.agent.State()),
					w.JSON("loop", one.State()), w.File("replay.bin", one.Buffer.(replay.Saver).Save))
			})
			if err != nil {
				t.Fatal(err)
			}
			goOn(one)

			two := build()
			var loop agents.LoopState
			c, err := checkpoint.Open(saved)
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(c.Store("agent", two.agent.Store()), c.JSON("agent", two.agent.State()), c.JSON("loop", &loop),
				c.File("replay.bin", two.Buffer.(replay.Saver).Load))
			if err != nil {
				t.Fatal(err)
			}
			two.SetState(loop)
			if v := values(t, two.agent.Store()); v["/critic/q0/of_action/weights"] != atBreak["/critic/q0/of_action/weights"] {
				t.Fatal("the checkpoint was not read")
			}
			goOn(two)
			equal(t, one.agent, two.agent)
			if values(t, one.agent.Store())["/policy/gaussian/out/weights"] == atBreak["/policy/gaussian/out/weights"] {
				t.Error("nothing was learned after the break")
			}
		})
	}
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

// Ensure that a Walker2d run with every option ends at its step, finite, with the
// figures that dashboards look for.
func TestWalker2dSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("trains on MuJoCo")
	}
	cfg := defaults()
	cfg.Critic.Hidden = []int{32, 32}
	cfg.NStep, cfg.Particles, cfg.GradClip, cfg.AutoAlpha, cfg.Alpha = 3, 5, 1, false, 0.2
	cfg.RandomSteps, cfg.LearningStarts, cfg.BatchSize = 60, 90, 32
	cfg.TrainEvery, cfg.UpdateToData, cfg.FusedUpdates = 10, 0.5, 5
	rec := &figures{last: agents.Metrics{}}
	r := newRun(t, gaussian(32, 32), cfg, 301, 1, start(t, envbridge.Worker{Env: "Walker2d-v5", Copies: 4}))
	r.Recorder, r.Every = rec, 100
	if err := r.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	if step, kept := r.State().Step, r.Buffer.Len(); step != 301 || kept != 301 {
		t.Errorf("%d steps, %d transitions, want 301", step, kept)
	}
	// 211 steps after LearningStarts at half an update each, in fives, seen every ten.
	if updates := counted(r.agent).Updates; updates != 105 {
		t.Errorf("%d updates, want 105", updates)
	}
	if len(rec.steps) != 4 || rec.steps[3] != 301 {
		t.Errorf("recorded at %v", rec.steps)
	}
	for _, name := range []string{
		"rollout/ep_rew_mean", "rollout/ep_len_mean", "time/fps", "time/act", "time/env_wait", "time/sample", "time/update",
		"train/actor_loss", "train/critic_loss", "train/ent_coef", "train/entropy", "train/learning_rate", "train/n_updates", "policy/std",
	} {
		if x, ok := rec.last[name]; !ok || math.IsNaN(x) || math.IsInf(x, 0) {
			t.Errorf("%s is %v (recorded: %v)", name, x, ok)
		}
	}
	if alpha := rec.last["train/ent_coef"]; math.Abs(alpha-0.2) > 1e-6 {
		t.Errorf("fixed temperature %v", alpha)
	}
}
