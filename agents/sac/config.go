package sac

import (
	"errors"
	"fmt"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
)

// Config holds the settings of the learner.
type Config struct {
	// The objective.
	agents.Return          // gamma and n_step
	Alpha         float64  `yaml:"alpha" want:"> 0"`      // entropy temperature, or its initial value if learned
	AutoAlpha     bool     `yaml:"auto_alpha"`            // learn α so that the entropy approaches TargetEntropy
	TargetEntropy *float64 `yaml:"target_entropy"`        // nats per action; null: −1 per action dimension
	Particles     int      `yaml:"particles" want:">= 1"` // M, actions per state averaged in target and loss

	// TargetParticles is the number of next actions that the critics' target averages;
	// 0: Particles. They are drawn and moved separately, so fewer particles also interact
	// as fewer.
	TargetParticles int `yaml:"target_particles" want:">= 0"`

	// Target selects the value in the critics' target.
	//
	//	particles:  of the policy, estimated by its samples
	//	start:      of the particles' start distribution, without moving them
	//	importance: of the optimal policy, ∝ exp(Q/α), estimated by samples of the start:
	//	            α·log mean exp((Q − α·log q⁰)/α), with forward passes only
	//
	// The last two need a policy that moves particles.
	Target string `yaml:"target" want:"particles|start|importance"`
	// PolicyLoss selects the loss of the policy.
	//
	//	particles: of the particles
	//	start:     of the start distribution alone, as in soft actor-critic without
	//	           particles; the sampler's parameters keep their initial values
	//	split:     the start's parameters by the start's loss over all states, the
	//	           sampler's by the particles' over PolicyStates, with the start held
	PolicyLoss string `yaml:"policy_loss" want:"particles|start|split"`

	// PolicyStates is the number of states, the first of the minibatch, for which the
	// policy's update moves particles; 0: all. Each costs Particles times as much as a
	// state does in the critics' update, at every step of the sampler.
	PolicyStates int `yaml:"policy_states" want:">= 0"`

	// The networks. The policy has its own.
	Critic nn.Network `yaml:"critic"`
	// Value combines the twin critics' values, in the target and in the policy's loss.
	//
	//	min:  the smaller (clipped double Q, Fujimoto et al. 2018), which counters
	//	      overestimation when the policy exploits the critics' errors
	//	mean: the mean. The smaller is too low by about half their difference. The bias
	//	      accumulates 1/(1 − γ) times and is largest in rarely visited states
	Value string `yaml:"value" want:"min|mean"`

	// The optimisers: Adam.
	ActorLR  float64 `yaml:"actor_lr" want:">= 0"`
	CriticLR float64 `yaml:"critic_lr" want:">= 0"`
	AlphaLR  float64 `yaml:"alpha_lr" want:">= 0"`
	// LRSchedule is the schedule of the three rates: constant, or linear, which decreases
	// to zero at the end of the training, so that the critics' values settle.
	LRSchedule string  `yaml:"lr_schedule" want:"constant|linear"`
	AdamEps    float64 `yaml:"adam_eps" want:"> 0"`         // as in PyTorch: added to the root of the unbiased second moment
	GradClip   float64 `yaml:"grad_clip" want:">= 0"`       // largest global norm of a part's gradient; 0: no limit
	AdamBeta1  float64 `yaml:"adam_beta1" want:">= 0, < 1"` // of critics and policy; the temperature's is 0.9
	// Tau is the soft update coefficient of the target networks (1 − polyak); null: no
	// target networks, the critics are their own target.
	Tau *float64 `yaml:"tau" want:"> 0, <= 1"`
	// PolicyDelay is the number of critic updates per update of policy and temperature,
	// which follows the last of them (Fujimoto et al. 2018).
	PolicyDelay int `yaml:"policy_delay" want:">= 1"`
	// PolicyAverage is the decay of an exponential average of the policy's weights and
	// running statistics. Greedy actions, serving and export use the average, exploration
	// the policy itself. 0: no average.
	PolicyAverage float64 `yaml:"policy_average" want:">= 0, < 1"`
	// CriticAverage is the decay of an exponential average of the critics' weights and
	// running statistics. Particles move by the average, because the critics' gradients
	// with respect to the action change from update to update, and the particles would
	// follow that noise. Targets and losses use the critics themselves, so that moves are
	// not judged by the values that they follow. 0: no average.
	CriticAverage float64 `yaml:"critic_average" want:">= 0, < 1"`
}

// longestCycle is the largest PolicyDelay whose updates are one graph, one after the other:
// compiling takes longer with each.
const longestCycle = 4

// InCycles reports whether calls of so many fused updates are whole cycles of PolicyDelay,
// all of them one graph.
func (c Config) InCycles(fused int) bool {
	return c.PolicyDelay > 1 && c.PolicyDelay <= longestCycle && fused%c.PolicyDelay == 0
}

// Defaults are Stable-Baselines3's for SAC.
func Defaults() Config {
	tau := 0.005
	return Config{
		Return: agents.Return{Gamma: 0.99, NStep: 1}, Alpha: 1, AutoAlpha: true, Particles: 1, Target: "particles", PolicyLoss: "particles",
		Critic: nn.Network{Hidden: []int{256, 256}, Activation: "relu", Norm: "none"}, Value: "min",
		ActorLR: 3e-4, CriticLR: 3e-4, AlphaLR: 3e-4, LRSchedule: "constant", AdamEps: 1e-8, AdamBeta1: 0.9,
		Tau: &tau, PolicyDelay: 1,
	}
}

// Validate reports settings that contradict each other.
func (c Config) Validate() error {
	var problems []error
	if err := c.Critic.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("critic: %w", err))
	}
	if c.Critic.Norm == "batch" && c.Tau != nil {
		problems = append(problems, fmt.Errorf("critic.norm batch with tau %g: batch normalisation evaluates Q and its target in one pass, so there can be no target network: set tau: null", *c.Tau))
	}
	if c.TargetParticles > c.Particles {
		problems = append(problems, fmt.Errorf("target_particles %d exceeds particles %d", c.TargetParticles, c.Particles))
	}
	return errors.Join(problems...)
}

var _ agents.Maker = Config{}

// Make builds the learner.
func (c Config) Make(t agents.Task) (agents.Learner, error) {
	s, err := New(c, t)
	if err != nil {
		return nil, err // not s: a nil pointer in the interface is not nil
	}
	return s, nil
}

// Check reports whether the settings fit a policy.
func (c Config) Check(policy policies.Policy) error {
	if policy == nil {
		return errors.New("soft actor-critic trains a policy: set policy.kind")
	}
	if _, ok := policy.(policies.Starter); !ok && (c.Target != "particles" || c.PolicyLoss != "particles") {
		return fmt.Errorf("agent.target %s with agent.policy_loss %s: only for policies that move particles, not %s", c.Target, c.PolicyLoss, policies.NameOf(policy))
	}
	if _, ok := policy.(policies.Starter); !ok && c.CriticAverage > 0 {
		return fmt.Errorf("agent.critic_average %g: only for policies that move particles, not %s", c.CriticAverage, policies.NameOf(policy))
	}
	if p, ok := policy.(policies.Checker); ok {
		if err := p.Check(c.Particles, 0); err != nil {
			return fmt.Errorf("policy with agent.particles %d: %w", c.Particles, err)
		}
	}
	return nil
}
