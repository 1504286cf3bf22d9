package td3_test

import (
	"fmt"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/agents/td3"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/replay"
)

// start opens real Gymnasium environments for a test.
func start(t *testing.T, w envbridge.Worker) envbridge.Env {
	t.Helper()
	env, err := envbridge.Start(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { env.Close() })
	return env
}

// Ensure that TD3 learns to swing up Pendulum, with three seeds, by the settings of the
// configuration pendulum/td3.
func TestLearnsPendulum(t *testing.T) {
	if testing.Short() {
		t.Skip("it learns for a minute")
	}
	const steps = 5_000
	cfg := td3.Defaults()
	cfg.Actor.Hidden, cfg.Critic.Hidden, cfg.Gamma, cfg.Tau = []int{64, 64}, []int{64, 64}, 0.98, 0.02
	schedule := agents.Schedule{BatchSize: 128, RandomSteps: 1_000, LearningStarts: 500, TrainEvery: 4, UpdateToData: 1, FusedUpdates: 4}
	exam := start(t, envbridge.Worker{Env: "Pendulum-v1", Copies: 10})
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			env := start(t, envbridge.Worker{Env: "Pendulum-v1"})
			agent, err := cfg.Make(agents.Task{Backend: enginetest.Backend(t), Spec: env.Spec(), Schedule: schedule, Seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			defer agent.Close()
			memory, err := replay.New(replay.Config{Capacity: steps, Copies: 1, ObsDim: 3, ActDim: 1, NStep: 1, Gamma: cfg.Gamma})
			if err != nil {
				t.Fatal(err)
			}
			loop := agents.Loop{Envs: []envbridge.Env{env}, Agent: agent, Buffer: memory, Schedule: schedule, Steps: steps, Seed: seed, EnvSeed: int64(seed)}
			if err := loop.Train(t.Context()); err != nil {
				t.Fatal(err)
			}
			result, err := agents.Evaluate(t.Context(), exam, agent, nil, 20, 100)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("mean return %.1f ± %.1f", result.Mean(), result.Std())
			if !(result.Mean() > -200) {
				t.Errorf("mean return %.1f after %d steps, want more than -200", result.Mean(), steps)
			}
		})
	}
}
