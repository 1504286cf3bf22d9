package known

import (
	"fmt"
	"slices"
	"strings"
)

// mostExact is the largest D for which ExactDensity is allowed: its cost grows with D×D.
const mostExact = 32

// Samplers lists the names that Config.Sampler accepts.
func Samplers() []string { return []string{"svgd", "p-svgd", "met-svgd", "met-mh", "ula", "mala"} }

// A Config is one run: Systems independent systems of Particles particles start
// from N(0, InitialStd² I) and take Steps steps towards Density.
type Config struct {
	Density    Density
	Sampler    string  // one of Samplers
	Systems    int     // B
	Particles  int     // M
	Steps      int     // L
	Seed       uint64  // seeds the positions, the probes and the fit
	InitialStd float64 // standard deviation of q⁰ in every direction
	StepSize   float64 // ε, or its initial value if learned; 0: the sampler's default
	Bandwidth  float64 // σ, or its initial value if learned; 0: the median heuristic, or the sampler's default
	Fit        int     // iterations that fit σ and ε; met-svgd and met-mh only
	FitRate    float64 // Adam's learning rate on log σ and log ε; 0: 0.05

	EachStep     bool // learn one σ and ε per step
	SelfTerm     bool // include j = i in the density (maths.md, self_term: reference)
	ExactDensity bool // log|det(I + εJ)| instead of ε Tr J; costs D×D, for small D
	Path         bool // keep the trajectory of the particles of the first system
}

// Check reports settings that cannot run.
func (c Config) Check() error {
	if !slices.Contains(Samplers(), c.Sampler) {
		return fmt.Errorf("sampling: unknown sampler %q, want one of %s", c.Sampler, strings.Join(Samplers(), ", "))
	}
	if c.Density.Target == nil {
		return fmt.Errorf("sampling: no density: set Density with NewDensity")
	}
	for _, n := range []struct {
		name         string
		value, least int
	}{{"systems", c.Systems, 1}, {"particles", c.Particles, 1}, {"steps", c.Steps, 1}, {"fit", c.Fit, 0}} {
		if n.value < n.least {
			return fmt.Errorf("sampling: %s %d: want at least %d", n.name, n.value, n.least)
		}
	}
	if c.langevin() && (c.ExactDensity || c.SelfTerm) {
		return fmt.Errorf("sampling: %s has no density: exact density and self term need a sampler with one", c.Sampler)
	}
	if c.Sampler == "p-svgd" && c.Particles < 2 {
		return fmt.Errorf("sampling: p-svgd with %d particle: its density divides by M − 1, want at least 2", c.Particles)
	}
	if c.ExactDensity && c.Density.Dim > mostExact {
		return fmt.Errorf("sampling: exact density in %d dimensions: want at most %d", c.Density.Dim, mostExact)
	}
	if !(c.InitialStd > 0) {
		return fmt.Errorf("sampling: initial standard deviation %g: want a positive number", c.InitialStd)
	}
	for _, x := range []struct {
		name  string
		value float64
	}{{"step size", c.StepSize}, {"bandwidth", c.Bandwidth}, {"fit rate", c.FitRate}} {
		if !(x.value >= 0) {
			return fmt.Errorf("sampling: %s %g: want at least 0 (0: the default)", x.name, x.value)
		}
	}
	return nil
}
