package known

import (
	"math"

	"github.com/stein-rl/stein/sampler"
)

// Defaults for zero settings.
const (
	defaultStep = 0.1 // ε
	learnedStep = 1.0 // initial ε if learned
)

func (c Config) langevin() bool { return c.Sampler == "ula" || c.Sampler == "mala" }

// sampler returns the sampler named by Config.Sampler and whether it has parameters to
// fit.
func (c Config) sampler() (s sampler.Sampler, learns bool) {
	epsilon := c.StepSize
	if epsilon == 0 {
		epsilon = defaultStep
	}
	switch c.Sampler {
	case "ula":
		return sampler.ULA{StepSize: sampler.Fixed(epsilon)}, false
	case "mala":
		return sampler.MALA{StepSize: sampler.Fixed(epsilon)}, false
	}
	svgd := sampler.SVGD{
		Kernel:    sampler.RBF{},
		Bandwidth: sampler.Median{},
		StepSize:  sampler.Fixed(epsilon),
		Trace:     sampler.Divergence{HessianTrace: c.Sampler != "p-svgd", SelfTerm: c.SelfTerm},
	}
	if c.Bandwidth > 0 {
		svgd.Bandwidth = sampler.Fixed(c.Bandwidth)
	}
	if c.ExactDensity {
		svgd.Density = sampler.ExactLogDet
	}
	if c.Sampler != "met-svgd" && c.Sampler != "met-mh" {
		return svgd, false
	}
	sigma := c.Bandwidth
	if sigma == 0 {
		// The median heuristic at q⁰, whose squared distances are about 2D·std².
		sigma = c.InitialStd * math.Sqrt(float64(c.Density.Dim)/math.Log(float64(c.Particles)+1))
	}
	if c.StepSize == 0 {
		epsilon = learnedStep
	}
	svgd.Bandwidth = sampler.Learned{Name: "log_sigma", Init: sigma, Min: 0.05, Max: 100, EachStep: c.EachStep}
	svgd.StepSize = sampler.Learned{Name: "log_epsilon", Init: epsilon, Min: 1e-4, Max: 1000, EachStep: c.EachStep}
	svgd.Bound = sampler.Bound{Kind: sampler.Spectral, Leaky: true}
	if c.Sampler == "met-mh" {
		svgd.Control = sampler.MetropolisHastings{}
	}
	return svgd, true
}
