package sac

import (
	"errors"
	"fmt"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/nn"
)

// Config holds the settings of the learner and of the schedule it learns by.
type Config struct {
	// The objective.
	Gamma         float64  `yaml:"gamma" want:"> 0, <= 1"` // discount per environment step
	NStep         int      `yaml:"n_step" want:">= 1"`     // rewards summed before the critic is asked
	Alpha         float64  `yaml:"alpha" want:"> 0"`       // entropy temperature; where learned, its start
	AutoAlpha     bool     `yaml:"auto_alpha"`             // learn α so that the entropy meets TargetEntropy
	TargetEntropy *float64 `yaml:"target_entropy"`         // nats per action; null: −1 for each action dimension
	Particles     int      `yaml:"particles" want:">= 1"`  // M, actions per state averaged in target and loss

	// The networks. The policy has its own.
	Critic nn.Network `yaml:"critic"`
	// Value is which of the twin critics' values is believed, in target and policy.
	//
	//	min:  the smaller (clipped double Q, Fujimoto et al. 2018): against
	//	      overestimation where the policy goes for the critic's errors
	//	mean: of both: the smaller is too low by about half their difference, at every
	//	      step, 1/(1 − γ) times over, and most where the agent seldom was
	Value string `yaml:"value" want:"min|mean"`

	// The optimisers: Adam.
	ActorLR  float64 `yaml:"actor_lr" want:">= 0"`
	CriticLR float64 `yaml:"critic_lr" want:">= 0"`
	AlphaLR  float64 `yaml:"alpha_lr" want:">= 0"`
	// LRSchedule is how the three rates go over the training: constant, or linear, to
	// zero at its end, where the critics' last steps then move their values no more.
	LRSchedule string  `yaml:"lr_schedule" want:"constant|linear"`
	AdamEps    float64 `yaml:"adam_eps" want:"> 0"`   // as in PyTorch: added to the root of the unbiased second moment
	GradClip   float64 `yaml:"grad_clip" want:">= 0"` // largest global norm of a part's gradient; 0: no limit
	Tau        float64 `yaml:"tau" want:"> 0, <= 1"`  // share of the critic that its target takes over at each update (1 − polyak)

	agents.Schedule `yaml:",inline"`
}

// Defaults are Stable-Baselines3's for SAC, with eight updates fused every eight
// steps, which keeps the ratio of one update per step.
func Defaults() Config {
	return Config{
		Gamma: 0.99, NStep: 1, Alpha: 1, AutoAlpha: true, Particles: 1,
		Critic: nn.Network{Hidden: []int{256, 256}, Activation: "relu"}, Value: "min",
		ActorLR: 3e-4, CriticLR: 3e-4, AlphaLR: 3e-4, LRSchedule: "constant", AdamEps: 1e-8, Tau: 0.005,
		Schedule: agents.Schedule{
			BatchSize: 256, RandomSteps: 10_000, LearningStarts: 10_000, TrainEvery: 8, UpdateToData: 1, FusedUpdates: 8,
		},
	}
}

// Validate says what is wrong with settings that contradict each other.
func (c Config) Validate() error {
	var problems []error
	if err := c.Critic.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("critic: %w", err))
	}
	return errors.Join(problems...)
}
