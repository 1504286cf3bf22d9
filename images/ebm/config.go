package ebm

import (
	"errors"
	"fmt"

	"github.com/stein-rl/stein/sampler"
)

// Config holds the settings of a model and of how it learns.
type Config struct {
	// Objective: contrastive, the bound of package ebm; or likelihood, the mean
	// log-density of the pictures under initial, which must have one by itself: the
	// energy is then not there.
	Objective string `want:"contrastive|likelihood"`

	// The energy.
	Energy          Energy
	Temperature     float64 `want:"> 0"`       // τ: particles follow exp(f/τ)
	Magnitude       float64 `want:">= 0"`      // weight of mean f² of data and samples in the loss
	GradientPenalty float64 `want:">= 0"`      // weight of mean ‖∇f‖² at the data
	DataNoise       float64 `want:">= 0"`      // standard deviation of normal noise on the data
	DataNoiseStart  float64 `want:">= 0"`      // what it begins with, to fall by equal factors; 0: DataNoise throughout
	Average         float64 `want:">= 0, < 1"` // decay of the moving average of the weights, which samples are drawn with

	// The sampler.
	Initial   Initial
	Sampler   sampler.Config
	Particles int `want:">= 1"` // M, samples of an update
	Chains    Chains

	// The optimisers: Adam.
	EnergyLR  float64 `yaml:"energy_lr" want:">= 0"`
	SamplerLR float64 `yaml:"sampler_lr" want:">= 0"` // of initial, σ and ε; 0: they stay
	Beta1     float64 `want:">= 0, < 1"`
	AdamEps   float64 `want:"> 0"`
	GradClip  float64 `want:">= 0"` // largest global norm of a part's gradient; 0: no limit
	BatchSize int     `want:">= 1"` // pictures of an update

	Diverged Limits
}

// Chains says whether samples go on where those of earlier updates ended (Tieleman
// 2008), which a sampler with a density can't: it has none for where they are.
type Chains struct {
	Size    int     `want:">= 0"`       // chains kept; 0: every update starts anew
	Restart float64 `want:">= 0, <= 1"` // share that starts anew from initial
}

// Limits say when training counts as diverged. 0: no limit.
type Limits struct {
	Spread float64 `want:">= 0"` // root mean square of the samples' values; those of pictures are in [−1, 1]
	Gap    float64 `want:">= 0"` // |mean f of the data − mean f of the samples|
}

// Validate says what is wrong with settings that contradict each other.
func (c Config) Validate() error {
	var all []error
	fail := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if err := c.Sampler.Validate(c.Particles, 0); err != nil {
		all = append(all, err)
	}
	if err := c.Initial.validate(); err != nil {
		all = append(all, err)
	}
	if c.DataNoiseStart > 0 && c.DataNoise == 0 {
		fail("data_noise_start %g falls by equal factors to data_noise, which can't be 0", c.DataNoiseStart)
	}
	if c.Objective == "likelihood" {
		if c.Initial.Kind != "glow" {
			fail("objective likelihood is for initial.kind glow, not for %s", c.Initial.Kind)
		}
		return errors.Join(all...)
	}
	if c.Sampler.Algorithm == "svgd" && c.Particles < 2 {
		fail("particles: %d: particles that repel each other are two or more", c.Particles)
	}
	if c.Chains.Size > 0 && c.Sampler.HasDensity() {
		fail("chains.size %d with sampler.algorithm %s: where a chain went on from has no density: take ula, mala or sampler.density none", c.Chains.Size, c.Sampler.Algorithm)
	}
	if c.Chains.Size > 0 && c.Chains.Size < c.Particles {
		fail("chains.size: %d chains for %d particles", c.Chains.Size, c.Particles)
	}
	if c.Sampler.Control == "truncation" && c.Initial.Kind != "gaussian" {
		fail("sampler.control truncation counts in standard deviations of initial.kind gaussian, which %s has not", c.Initial.Kind)
	}
	for name, s := range map[string]sampler.ScaleConfig{"bandwidth": c.Sampler.Bandwidth, "step_size": c.Sampler.StepSize} {
		if s.Kind == "network" {
			fail("sampler.%s.kind network is for policies, which see a state: take learned or per-step", name)
		}
	}
	return errors.Join(all...)
}

// Check is Validate for pictures of a shape.
func (c Config) Check(s Shape) error {
	all := []error{c.Sampler.Validate(c.Particles, s.Size()), c.Initial.check(s)}
	if c.Objective != "likelihood" {
		all = append(all, c.Energy.Check(s))
	}
	return errors.Join(all...)
}
