package ebm

import (
	"errors"
	"fmt"

	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/sampler"
)

// Config holds the settings of a model and its training.
type Config struct {
	// Objective: contrastive, the bound of package ebm; or likelihood, the mean
	// log-density of the images under the initial distribution, which must have a
	// density; the model then has no energy.
	Objective string `want:"contrastive|likelihood"`

	// The energy.
	Energy          Energy
	Temperature     float64 `want:"> 0"`       // τ: particles follow exp(f/τ)
	Magnitude       float64 `want:">= 0"`      // weight of mean f² of data and samples in the loss
	GradientPenalty float64 `want:">= 0"`      // weight of mean ‖∇f‖² at the data
	DataNoise       float64 `want:">= 0"`      // standard deviation of normal noise on the data
	DataNoiseStart  float64 `want:">= 0"`      // initial DataNoise, which decreases geometrically; 0: constant DataNoise
	Average         float64 `want:">= 0, < 1"` // decay of the moving average of the weights, which samples are drawn from

	// The sampler.
	Initial   Initial
	Sampler   sampler.Config
	Particles int `want:">= 1"` // M, samples per update
	Chains    Chains

	// The optimisers: Adam.
	EnergyLR  float64 `yaml:"energy_lr" want:">= 0"`
	SamplerLR float64 `yaml:"sampler_lr" want:">= 0"` // of the initial distribution, σ and ε; 0: do not train them
	Beta1     float64 `want:">= 0, < 1"`
	AdamEps   float64 `want:"> 0"`
	GradClip  float64 `want:">= 0"` // largest global norm of a part's gradient; 0: no limit
	BatchSize int     `want:">= 1"` // images per update

	Diverged Limits
}

// Chains configures persistent chains, which continue where samples of earlier updates
// ended (Tieleman 2008). Samplers with a density cannot use them: the density of the
// continued samples is unknown.
type Chains struct {
	Size    int     `want:">= 0"`       // number of chains; 0: every update starts anew
	Restart float64 `want:">= 0, <= 1"` // fraction of chains restarted from the initial distribution
}

// Limits define when training counts as diverged. 0: no limit.
type Limits struct {
	Spread float64 `want:">= 0"` // root mean square of the samples' values; those of images are in [−1, 1]
	Gap    float64 `want:">= 0"` // |mean f of the data − mean f of the samples|
}

// Validate reports contradictory settings.
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
		fail("data_noise_start %g decreases geometrically to data_noise, which must be positive", c.DataNoiseStart)
	}
	if c.Objective == "likelihood" {
		if c.Initial.Kind != "glow" {
			fail("objective likelihood needs initial.kind glow, not %s", c.Initial.Kind)
		}
		return errors.Join(all...)
	}
	if c.Sampler.Algorithm == "svgd" && c.Particles < 2 {
		fail("particles: %d: this sampler needs at least 2", c.Particles)
	}
	if c.Chains.Size > 0 && c.Sampler.HasDensity() {
		fail("chains.size %d with sampler.algorithm %s: continued chains have no density: use ula, mala or sampler.density none", c.Chains.Size, c.Sampler.Algorithm)
	}
	if c.Chains.Size > 0 && c.Chains.Size < c.Particles {
		fail("chains.size: %d chains for %d particles", c.Chains.Size, c.Particles)
	}
	if c.Sampler.Control == "truncation" && c.Initial.Kind != "gaussian" {
		fail("sampler.control truncation needs the standard deviations of initial.kind gaussian, not %s", c.Initial.Kind)
	}
	for name, s := range map[string]sampler.ScaleConfig{"bandwidth": c.Sampler.Bandwidth, "step_size": c.Sampler.StepSize} {
		if s.Kind == "network" {
			fail("sampler.%s.kind network needs a policy's state: use learned or per-step", name)
		}
	}
	return errors.Join(all...)
}

// Check validates the settings for images of a shape. The error is a RefusedError.
func (c Config) Check(s Shape) error {
	all := []error{c.Sampler.Validate(c.Particles, s.Size()), c.Initial.check(s)}
	if c.Objective != "likelihood" {
		all = append(all, c.Energy.Check(s))
	}
	return settings.Refuse(errors.Join(all...))
}
