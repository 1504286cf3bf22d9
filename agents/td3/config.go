// Package td3 is twin delayed deep deterministic policy gradient (Fujimoto et al. 2018,
// https://arxiv.org/abs/1802.09477): a deterministic actor and twin critics. Read step in
// update.go first: it is the algorithm.
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
	agents.Return // gamma and n_step

	Actor    nn.Network `yaml:"actor"` // before tanh
	Critic   nn.Network `yaml:"critic"`
	ActorLR  float64    `yaml:"actor_lr" want:">= 0"` // Adam's
	CriticLR float64    `yaml:"critic_lr" want:">= 0"`
	Tau      float64    `yaml:"tau" want:"> 0, <= 1"` // soft update coefficient of the targets, applied when the actor is updated

	PolicyDelay int     `yaml:"policy_delay" want:">= 1"` // critic updates per update of actor and targets
	TargetNoise float64 `yaml:"target_noise" want:">= 0"` // standard deviation of the noise on target actions
	NoiseClip   float64 `yaml:"noise_clip" want:">= 0"`   // largest absolute value of that noise
	Noise       float64 `yaml:"noise" want:">= 0"`        // standard deviation of the noise on actions in training
}

// Defaults are Stable-Baselines3's for TD3, except that actions have the paper's noise;
// Stable-Baselines3 adds none by default.
func Defaults() Config {
	net := nn.Network{Hidden: []int{400, 300}, Activation: "relu", Norm: "none"}
	return Config{
		Return: agents.Return{Gamma: 0.99, NStep: 1}, Actor: net, Critic: net, ActorLR: 1e-3, CriticLR: 1e-3, Tau: 0.005,
		PolicyDelay: 2, TargetNoise: 0.2, NoiseClip: 0.5, Noise: 0.1,
	}
}

// Validate reports contradictory settings.
func (c Config) Validate() error {
	var all []error
	for name, net := range map[string]nn.Network{"actor": c.Actor, "critic": c.Critic} {
		if err := net.Validate(); err != nil {
			all = append(all, fmt.Errorf("%s: %w", name, err))
		}
		if net.Norm == "batch" {
			all = append(all, fmt.Errorf("%s.norm: td3 supports none and layer", name))
		}
	}
	return errors.Join(all...)
}

var _ agents.Maker = Config{}

// Make builds the learner.
func (c Config) Make(t agents.Task) (agents.Learner, error) {
	s, err := New(c, t)
	if err != nil {
		return nil, err // not a Learner holding a nil pointer
	}
	return s, nil
}

// Check rejects a policy: the actor is the policy.
func (c Config) Check(policy policies.Policy) error {
	if policy != nil {
		return errors.New("td3 does not train a policy; its network is agent.actor: set policy: null")
	}
	return nil
}
