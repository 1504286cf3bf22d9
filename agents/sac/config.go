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
	Gamma         float64  `yaml:"gamma" want:"> 0, <= 1"` // discount per environment step
	NStep         int      `yaml:"n_step" want:">= 1"`     // rewards summed before the critic is asked
	Alpha         float64  `yaml:"alpha" want:"> 0"`       // entropy temperature; where learned, its start
	AutoAlpha     bool     `yaml:"auto_alpha"`             // learn α so that the entropy meets TargetEntropy
	TargetEntropy *float64 `yaml:"target_entropy"`         // nats per action; null: −1 for each action dimension
	Particles     int      `yaml:"particles" want:">= 1"`  // M, actions per state averaged in target and loss

	// TargetParticles is how many of the next state's actions the critics' target
	// averages; 0: as many as Particles. They are a draw of their own: fewer particles
	// move as fewer particles do.
	TargetParticles int `yaml:"target_particles" want:">= 0"`

	// Target is whose value the critics' target is.
	//
	//	particles:  the policy's, by its draws
	//	start:      that of what its particles start from, as if they were not moved
	//	importance: that of the best policy, ∝ exp(Q/α), by draws of the start:
	//	            α·log mean exp((Q − α·log q⁰)/α), forward passes alone
	//
	// The last two are for a policy that moves particles.
	Target string `yaml:"target" want:"particles|start|importance"`
	// PolicyLoss is whose loss the policy learns by.
	//
	//	particles: its particles'
	//	start:     its start's alone, as soft actor-critic without particles has it;
	//	           what moves the particles stays as it begins
	//	split:     its start by the start's loss, over all states, and what moves the
	//	           particles by theirs, over PolicyStates, with the start held
	PolicyLoss string `yaml:"policy_loss" want:"particles|start|split"`

	// PolicyStates is for how many states of the minibatch particles are moved when the
	// policy is updated, the first ones; 0: for all. They cost Particles times what a
	// state costs the critics, at every step.
	PolicyStates int `yaml:"policy_states" want:">= 0"`

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
	AdamEps    float64 `yaml:"adam_eps" want:"> 0"`         // as in PyTorch: added to the root of the unbiased second moment
	GradClip   float64 `yaml:"grad_clip" want:">= 0"`       // largest global norm of a part's gradient; 0: no limit
	AdamBeta1  float64 `yaml:"adam_beta1" want:">= 0, < 1"` // of critics and policy; the temperature has 0.9
	// Tau is the share of the critics that their targets take over at each update
	// (1 − polyak); null: no target networks, the critics are their own target.
	Tau *float64 `yaml:"tau" want:"> 0, <= 1"`
	// PolicyDelay is how many updates of the critics there are to one of policy and
	// temperature, which is made after the last of them (Fujimoto et al. 2018).
	PolicyDelay int `yaml:"policy_delay" want:">= 1"`
	// PolicyAverage is the share that an exponential average of the policy's weights
	// and running statistics keeps at each of its updates. Best actions, and all that a
	// trained policy is asked, come from the average; exploration from the policy
	// itself. 0: no average.
	PolicyAverage float64 `yaml:"policy_average" want:">= 0, < 1"`
	// CriticAverage is the share that an exponential average of the critics' weights and
	// running statistics keeps at each of their updates. Particles move by the average:
	// the critics themselves change their slopes from update to update, and what follows
	// one state's slope follows that noise. Targets and losses ask the critics
	// themselves, so what the steps bring is judged by others than those that they
	// follow. 0: no average.
	CriticAverage float64 `yaml:"critic_average" want:">= 0, < 1"`
}

// Defaults are Stable-Baselines3's for SAC.
func Defaults() Config {
	tau := 0.005
	return Config{
		Gamma: 0.99, NStep: 1, Alpha: 1, AutoAlpha: true, Particles: 1, Target: "particles", PolicyLoss: "particles",
		Critic: nn.Network{Hidden: []int{256, 256}, Activation: "relu", Norm: "none"}, Value: "min",
		ActorLR: 3e-4, CriticLR: 3e-4, AlphaLR: 3e-4, LRSchedule: "constant", AdamEps: 1e-8, AdamBeta1: 0.9,
		Tau: &tau, PolicyDelay: 1,
	}
}

// Validate says what is wrong with settings that contradict each other.
func (c Config) Validate() error {
	var problems []error
	if err := c.Critic.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("critic: %w", err))
	}
	if c.Critic.Norm == "batch" && c.Tau != nil {
		problems = append(problems, fmt.Errorf("critic.norm batch with tau %g: both halves of the critics' loss are normalised by one batch, which leaves no target network: set tau: null", *c.Tau))
	}
	if c.TargetParticles > c.Particles {
		problems = append(problems, fmt.Errorf("target_particles %d: the policy has only particles %d", c.TargetParticles, c.Particles))
	}
	return errors.Join(problems...)
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

// Check says whether a policy can be trained with as many particles.
func (c Config) Check(policy policies.Policy) error {
	if policy == nil {
		return errors.New("soft actor-critic trains a policy: name one with policy.kind")
	}
	if _, ok := policy.(policies.Starter); !ok && (c.Target != "particles" || c.PolicyLoss != "particles") {
		return fmt.Errorf("agent.target %s with agent.policy_loss %s: %T moves no particles from a start", c.Target, c.PolicyLoss, policy)
	}
	if p, ok := policy.(policies.Checker); ok {
		if err := p.Check(c.Particles, 0); err != nil {
			return fmt.Errorf("policy with agent.particles %d: %w", c.Particles, err)
		}
	}
	return nil
}
