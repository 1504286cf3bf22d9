package known_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stein-rl/stein/sampler/known"
)

// exact is a result of a sampler that cannot be bettered: samples of the density
// with their own log density plus an offset.
func exact(t *testing.T, name string, dim int, offset float64) known.Result {
	t.Helper()
	d, err := known.NewDensity(name, dim)
	if err != nil {
		t.Fatal(err)
	}
	c := known.Config{Density: d, Sampler: "svgd", Systems: 50, Particles: 400, Steps: 1, InitialStd: 1}
	r := known.Result{Config: c}
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float64, dim)
	for range c.Systems * c.Particles {
		d.Draw(rng, x)
		r.X = append(r.X, x...)
		r.LogQ = append(r.LogQ, d.LogDensity(x)+offset)
	}
	return r
}

// Ensure that perfect samples measure as such, and that a wrong log density shows as
// just that error.
func TestMeasurePerfectSamples(t *testing.T) {
	for _, c := range []struct {
		name string
		dim  int
	}{{"gaussian", 3}, {"gaussian-full", 2}, {"gmm4", 2}, {"ring", 2}} {
		r := exact(t, c.name, c.dim, 0)
		h, stderr := r.Entropy()
		if stderr > 0.02 || math.Abs(h-r.Config.Density.Entropy) > 5*stderr {
			t.Errorf("%s: entropy %g ± %g, want %g", c.name, h, stderr, r.Config.Density.Entropy)
		}
		// The particles' surprise has a standard deviation near √(D/2), so 400 of them
		// are off by about √(D/2)/20·√(2/π) in the mean.
		if off, _ := r.EntropyError(); off <= 0 || off > 0.1 {
			t.Errorf("%s: mean |error| %g", c.name, off)
		}
		if mean, cov := r.MomentErrors(); !(mean < 0.1 && cov < 0.05) {
			t.Errorf("%s: mean off by %g, covariance by %g", c.name, mean, cov)
		}
		if share := r.EffectiveShare(); math.Abs(share-1) > 1e-9 {
			t.Errorf("%s: effective share %g, want 1", c.name, share)
		}

		const low = -0.5
		r = exact(t, c.name, c.dim, low)
		if off, _ := r.EntropyError(); math.Abs(off+low) > 0.02 {
			t.Errorf("%s: mean |error| %g of a log density %g too low", c.name, off, low)
		}
	}
}

// Ensure that the effective share is that of weights worked out by hand.
func TestEffectiveShare(t *testing.T) {
	r := exact(t, "gaussian", 1, 0)
	r.Config.Systems, r.Config.Particles = 1, 3
	r.X, r.LogQ = r.X[:3], r.LogQ[:3]
	for i, w := range []float64{1, 2, 3} {
		r.LogQ[i] -= math.Log(w)
	}
	if got, want := r.EffectiveShare(), 36.0/(3*14); math.Abs(got-want) > 1e-12 { // (Σw)²/(M Σw²)
		t.Errorf("%g, want %g", got, want)
	}
}

// Ensure that a sampler without a density has no entropy rather than a wrong one.
func TestMeasureWithoutDensity(t *testing.T) {
	r := exact(t, "gaussian", 2, 0)
	r.LogQ = nil
	h, _ := r.Entropy()
	off, _ := r.EntropyError()
	if !math.IsNaN(h) || !math.IsNaN(off) || !math.IsNaN(r.EffectiveShare()) || r.Entropies() != nil {
		t.Errorf("entropy %g, error %g, effective share %g", h, off, r.EffectiveShare())
	}
}

func TestConfigCheck(t *testing.T) {
	good := exact(t, "gaussian", 1, 0).Config
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*known.Config){
		"want one of svgd, p-svgd, met-svgd, met-mh, ula, mala": func(c *known.Config) { c.Sampler = "hmc" },
		"particles 0":                func(c *known.Config) { c.Particles = 0 },
		"steps -1":                   func(c *known.Config) { c.Steps = -1 },
		"initial standard deviation": func(c *known.Config) { c.InitialStd = 0 },
		"step size NaN":              func(c *known.Config) { c.StepSize = math.NaN() },
		"no density":                 func(c *known.Config) { c.Density = known.Density{} },
	} {
		c := good
		spoil(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}
