package policies

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/stein-rl/stein/nn"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/sampler"
)

// Stein is a policy whose actions are particles: q.Particles draws of a state-dependent
// Gaussian, moved by a sampler towards exp(Q/α). The sampler computes their log-density.
// P-SVGD (Messaoud et al. 2024) and MET-SVGD are two settings of Sampler.
//
// Particles move in u, before the squash a = tanh(u). Gradients flow through the steps,
// and so through first and second derivatives of the critic, to the Gaussian and to the
// sampler's parameters.
type Stein struct {
	nn.Network `yaml:",inline"` // outputs the mean and log σ of the start
	Initial    Start            `yaml:"initial"`
	// Target is the log-density of the sampler's target.
	//
	//	squashed: min_k Q_k(s, tanh u)/α + log|d tanh(u)/du|, so that actions have
	//	          density ∝ exp(Q/α)
	//	s2ac:     min_k Q_k(s, u), of the earlier published code: no tanh, no 1/α
	//
	// Both then correct the log-probability for the squash.
	Target  string         `yaml:"target" want:"squashed|s2ac"`
	Sampler sampler.Config `yaml:"sampler"`
	Choice  Choice         `yaml:"choice"` // the action at test time
}

// Start is the Gaussian that particles start from.
type Start struct {
	StdMin   float64 `yaml:"std_min" want:"> 0"` // clamp of σ; outside, it has no gradient
	StdMax   float64 `yaml:"std_max" want:"> 0"`
	Truncate float64 `yaml:"truncate" want:">= 0"` // draw within so many σ; 0: no truncation
	// Renormalise adds the truncation's normalising constant to the log-density; the
	// earlier code omits it.
	Renormalise bool `yaml:"renormalise"`
}

var (
	_ Policy  = Stein{}
	_ Greedy  = Stein{}
	_ Chooser = Stein{}
	_ Starter = Stein{}
	_ Checker = Stein{}
)

// NewStein returns P-SVGD with the constants of the earlier published code for Walker2d.
func NewStein() Stein {
	return Stein{
		Network: nn.Network{Hidden: []int{256, 256, 256}, Activation: "elu", Norm: "none"},
		Initial: Start{StdMin: 0.1, StdMax: 1},
		Target:  "squashed",
		Sampler: sampler.Config{
			Algorithm: "svgd", Steps: 3, Kernel: "rbf",
			Bandwidth: sampler.ScaleConfig{Kind: "half-mean"}, StepSize: sampler.ScaleConfig{Kind: "fixed", Value: 0.1},
			Bound:   sampler.BoundConfig{Kind: "off"},
			Density: "first-order",
			Trace:   sampler.TraceConfig{SelfTerm: "exact", Probes: 1, Probe: "rademacher"},
			Control: "none",
		},
		Choice: Choice{By: "softmax", Temperature: "1"},
	}
}

// Validate reports settings that contradict each other.
func (p Stein) Validate() error { return p.Check(0, 0) }

// Check is Validate for a number of particles and of action dimensions; 0: not
// known yet.
func (p Stein) Check(particles, actDim int) error {
	all := []error{p.Network.Validate(), p.Sampler.Validate(particles, actDim)}
	fail := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if !p.Sampler.HasDensity() {
		fail("sampler: a policy needs log-probabilities, which algorithm %s with density %s does not provide: use svgd with first-order or exact", p.Sampler.Algorithm, p.Sampler.Density)
	}
	if p.Initial.StdMin > p.Initial.StdMax {
		fail("initial: std_min %g is above std_max %g", p.Initial.StdMin, p.Initial.StdMax)
	}
	if p.Initial.Truncate > 0 && strings.HasPrefix(p.Sampler.Control, "mh") {
		fail("initial.truncate %g with sampler.control %s: truncation and Metropolis–Hastings cannot be combined: use one", p.Initial.Truncate, p.Sampler.Control)
	}
	if p.Initial.Renormalise && p.Initial.Truncate == 0 {
		fail("initial.renormalise: nothing is truncated; set initial.truncate")
	}
	return errors.Join(all...)
}

// Sample draws the particles and moves them.
func (p Stein) Sample(q Query) Draw {
	q0 := p.start(q)
	smp, steps := p.Sampler.Build()
	at := sampler.At{
		Scope: q.Scope.At("sampler"), Noise: sampler.KeyNoise{Key: q.Key},
		Cond: q.Obs, Progress: q.Progress,
	}
	run := sampler.Start(at, q0, smp, p.target(q), q.Particles, steps)
	action, logProb := Squash(run.X, run.LogQ)
	draw := Draw{Action: action, LogProb: logProb, Alive: run.Alive}
	draw.Stats = p.stats(q, q0, smp, run, draw)
	return draw
}

// Start draws particles without moving them.
func (p Stein) Start(q Query) Draw {
	u, logQ := p.start(q).Draw(sampler.KeyNoise{Key: q.Key}, q.Particles)
	action, logProb := Squash(u, logQ)
	return Draw{Action: action, LogProb: logProb}
}

// Greedy moves particles and picks one by the critic's values at the final actions.
func (p Stein) Greedy(q Query) *Node {
	key := q.Key
	q.Key = key.Fold(0)
	draw := p.Sample(q)
	q.Key = key
	return p.Choose(q, draw)
}

// Choose picks one of the drawn actions by the critic's values.
func (p Stein) Choose(q Query, drawn Draw) *Node { return p.Choice.Pick(q, drawn) }

// start is q⁰, N(μ(s), diag σ₀(s)²).
func (p Stein) start(q Query) sampler.DiagonalGaussian {
	both := q.ask(p.Network, "start", 2*q.ActDim) // [B, 2A]
	if q.HoldStart {
		both = StopGradient(both)
	}
	mean, logStd := split(both, q.ActDim, math.Log(p.Initial.StdMin), math.Log(p.Initial.StdMax))
	return sampler.DiagonalGaussian{
		Mean: mean, Std: Exp(logStd), Truncate: p.Initial.Truncate, Renormalise: p.Initial.Renormalise,
	}
}

// target is log p̄(u).
func (p Stein) target(q Query) sampler.Target {
	if p.Target == "s2ac" {
		return sampler.LogDensity(q.Value)
	}
	return sampler.LogDensity(func(u *Node) *Node {
		return Add(Div(q.Value(Tanh(u)), q.Alpha), LogDetTanh(u))
	})
}
