// Package td3 is twin delayed deep deterministic policy gradient (Fujimoto et al. 2018,
// https://arxiv.org/abs/1802.09477): a network that answers one action a state, and twin
// critics. Read step in update.go first: it is the algorithm.
package td3

import (
	"errors"
	"fmt"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
)

// Config holds the settings of the learner.
type Config struct {
	Gamma float64 `yaml:"gamma" want:"> 0, <= 1"` // discount per environment step
	NStep int     `yaml:"n_step" want:">= 1"`     // rewards summed before the critic is asked

	Actor    nn.Network `yaml:"actor"` // before tanh
	Critic   nn.Network `yaml:"critic"`
	ActorLR  float64    `yaml:"actor_lr" want:">= 0"` // Adam's
	CriticLR float64    `yaml:"critic_lr" want:">= 0"`
	Tau      float64    `yaml:"tau" want:"> 0, <= 1"` // share that the targets take over whenever the actor is updated

	PolicyDelay int     `yaml:"policy_delay" want:">= 1"` // updates of the critics to one of actor and targets
	TargetNoise float64 `yaml:"target_noise" want:">= 0"` // standard deviation, of the target's action
	NoiseClip   float64 `yaml:"noise_clip" want:">= 0"`   // of that noise
	Noise       float64 `yaml:"noise" want:">= 0"`        // standard deviation, of actions while training
}

// Defaults are Stable-Baselines3's for TD3, with the paper's noise on actions, of which
// Stable-Baselines3 has none unless asked.
func Defaults() Config {
	net := nn.Network{Hidden: []int{400, 300}, Activation: "relu", Norm: "none"}
	return Config{
		Gamma: 0.99, NStep: 1, Actor: net, Critic: net, ActorLR: 1e-3, CriticLR: 1e-3, Tau: 0.005,
		PolicyDelay: 2, TargetNoise: 0.2, NoiseClip: 0.5, Noise: 0.1,
	}
}

// Validate says what is wrong with settings that contradict each other.
func (c Config) Validate() error {
	var all []error
	for name, net := range map[string]nn.Network{"actor": c.Actor, "critic": c.Critic} {
		if err := net.Validate(); err != nil {
			all = append(all, fmt.Errorf("%s: %w", name, err))
		}
		if net.Norm == "batch" {
			all = append(all, fmt.Errorf("%s.norm: td3 has none or layer", name))
		}
	}
	return errors.Join(all...)
}

var _ agents.Maker = Config{}

// Make builds the learner.
func (c Config) Make(t agents.Task) (agents.Learner, error) {
	s, err := New(c, t)
	if err != nil {
		return nil, err // and no Learner that is a nil pointer
	}
	return s, nil
}

// Discount is that of the rewards that the critic is told.
func (c Config) Discount() (gamma float64, steps int) { return c.Gamma, c.NStep }

// Check refuses a policy: the actor is the policy.
func (c Config) Check(policy policies.Policy) error {
	if policy != nil {
		return errors.New("td3 brings its own network, agent.actor, and trains no policy: write policy: null")
	}
	return nil
}
