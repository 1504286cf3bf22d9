package known

import (
	"fmt"
	"slices"
	"strings"
)

// mostExact is the largest D for which ExactDensity is worth its D×D work.
const mostExact = 32

// Samplers lists the names that Config.Sampler may have.
func Samplers() []string { return []string{"svgd", "p-svgd", "met-svgd", "met-mh", "ula", "mala"} }

// A Config is one run: Systems independent systems of Particles particles start
// from N(0, InitialStd² I) and take Steps steps towards Density.
type Config struct {
	Density    Density
	Sampler    string  // one of Samplers
	Systems    int     // B
	Particles  int     // M
	Steps      int     // L
	Seed       uint64  // of the positions, the probes and the fit
	InitialStd float64 // of q⁰ in every direction
	StepSize   float64 // ε, where it is learned the first one; 0: the sampler's default
	Bandwidth  float64 // σ, the same; 0: the median heuristic, or the sampler's default
	Fit        int     // iterations that fit σ and ε, met-svgd and met-mh only
	FitRate    float64 // Adam's learning rate on their logarithms; 0: 0.05

	EachStep     bool // learned σ and ε: one for each step
	SelfTerm     bool // the density counts j = i (maths.md, self_term: reference)
	ExactDensity bool // log|det(I + εJ)| in place of ε Tr J; D×D work, for small D
	Path         bool // keep where the particles of the first system went
}

// Check says what is wrong with the settings, if anything.
func (c Config) Check() error {
	if !slices.Contains(Samplers(), c.Sampler) {
		return fmt.Errorf("sampling: no sampler %q: want one of %s", c.Sampler, strings.Join(Samplers(), ", "))
	}
	if c.Density.Target == nil {
		return fmt.Errorf("sampling: no density: make one with NewDensity")
	}
	for _, n := range []struct {
		name         string
		value, least int
	}{{"systems", c.Systems, 1}, {"particles", c.Particles, 1}, {"steps", c.Steps, 1}, {"fit", c.Fit, 0}} {
		if n.value < n.least {
			return fmt.Errorf("sampling: %s %d: want %d or more", n.name, n.value, n.least)
		}
	}
	if c.langevin() && (c.ExactDensity || c.SelfTerm) {
		return fmt.Errorf("sampling: %s has no density: exact density and self term are for the others", c.Sampler)
	}
	if c.Sampler == "p-svgd" && c.Particles < 2 {
		return fmt.Errorf("sampling: p-svgd of %d particle: its density divides by M − 1: want 2 or more", c.Particles)
	}
	if c.ExactDensity && c.Density.Dim > mostExact {
		return fmt.Errorf("sampling: an exact density in %d dimensions: want %d or fewer", c.Density.Dim, mostExact)
	}
	if !(c.InitialStd > 0) {
		return fmt.Errorf("sampling: initial standard deviation %g: want more than 0", c.InitialStd)
	}
	for _, x := range []struct {
		name  string
		value float64
	}{{"step size", c.StepSize}, {"bandwidth", c.Bandwidth}, {"fit rate", c.FitRate}} {
		if !(x.value >= 0) {
			return fmt.Errorf("sampling: %s %g: want 0 (the default) or more", x.name, x.value)
		}
	}
	return nil
}
