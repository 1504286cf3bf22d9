package agents_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/checkpoint"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/replay"
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

// small are settings that learn Pendulum quickly on small networks.
func small() agents.Config {
	c := agents.Defaults()
	c.Critic.Hidden = []int{64, 64}
	c.ActorLR, c.CriticLR, c.AlphaLR = 1e-3, 1e-3, 1e-3
	c.BatchSize, c.Tau = 128, 0.01
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
	agent *agents.SAC
}

func newRun(t testing.TB, policy policies.Policy, cfg agents.Config, steps int64, seed uint64, envs ...envbridge.Env) *run {
	t.Helper()
	spec := envs[0].Spec()
	agent, err := agents.NewSAC(enginetest.Backend(t), policy, spec, cfg, seed)
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
		Envs: envs, Agent: agent, Buffer: buffer, Config: cfg, Steps: steps, Seed: seed, EnvSeed: int64(seed),
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

func equal(t *testing.T, a, b *agents.SAC) {
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
	if a.State() != b.State() {
		t.Errorf("state %+v and %+v", a.State(), b.State())
	}
}

// Ensure that soft actor-critic learns to swing up Pendulum, with three seeds.
func TestLearnsPendulum(t *testing.T) {
	const steps = 4_000
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
			if s := r.State(); s.Step != steps || r.Buffer.Len() != steps || r.agent.State().Updates != steps-500 {
				t.Errorf("%d steps, %d transitions, %d updates", s.Step, r.Buffer.Len(), r.agent.State().Updates)
			}
		})
	}
}

var _ = bytes.MinRead
var _ = errors.New
var _ = tensors.FromShape
var _ = checkpoint.Format
