package known_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/sampler/known"
)

func run(t *testing.T, c known.Config, target string, dim int) known.Result {
	t.Helper()
	d, err := known.NewDensity(target, dim)
	if err != nil {
		t.Fatal(err)
	}
	c.Density = d
	r, err := known.Run(enginetest.Backend(t), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Ensure that every sampler moves particles towards the density, with an entropy and
// an accepted share where it has one and no other.
func TestRunEverySampler(t *testing.T) {
	// Of q⁰ = N(0, 4 I) the entropy is 1.61 too much, and the covariance off by 3.9.
	for _, name := range known.Samplers() {
		r := run(t, known.Config{Sampler: name, Systems: 32, Particles: 20, Steps: 2, Fit: 12, InitialStd: 2, StepSize: 1}, "box", 2)
		langevin := name == "ula" || name == "mala"
		h, _ := r.Entropy()
		if off, _ := r.EntropyError(); langevin != math.IsNaN(off) || off > 1.55 {
			t.Errorf("%s: mean |entropy error| %g", name, off)
		}
		if _, cov := r.MomentErrors(); cov > 3.6 {
			t.Errorf("%s: covariance off by %g", name, cov)
		}
		if want := name == "met-mh" || name == "mala"; want != (r.Accepted > 0.05 && r.Accepted < 1) {
			t.Errorf("%s: accepted %g", name, r.Accepted)
		}
		if langevin != math.IsNaN(r.Bandwidth) || r.StepSize <= 0 {
			t.Errorf("%s: bandwidth %g, step size %g", name, r.Bandwidth, r.StepSize)
		}
		if learned := strings.HasPrefix(name, "met"); learned != (r.FitTime > 0) {
			t.Errorf("%s: fitted for %v", name, r.FitTime)
		}
		if name == "met-svgd" && math.Abs(h-r.Config.Density.Entropy) > 1 {
			t.Errorf("%s: entropy %g, want near %g", name, h, r.Config.Density.Entropy)
		}
	}
}

// Ensure that a seed gives one result, the fit included.
func TestRunSeed(t *testing.T) {
	c := known.Config{Sampler: "met-svgd", Systems: 2, Particles: 10, Steps: 1, Fit: 3, InitialStd: 2, Seed: 5}
	a := run(t, c, "box", 2)
	b := run(t, c, "box", 2)
	if !slices.Equal(a.X, b.X) || !slices.Equal(a.LogQ, b.LogQ) || a.StepSize != b.StepSize {
		t.Error("the same seed, other numbers")
	}
	c.Seed = 6
	if other := run(t, c, "box", 2); slices.Equal(a.X, other.X) {
		t.Error("another seed, the same numbers")
	}
}

// Ensure that the path has every step and ends where the particles do.
func TestRunPath(t *testing.T) {
	r := run(t, known.Config{Sampler: "svgd", Systems: 2, Particles: 10, Steps: 2, InitialStd: 2, Path: true}, "ring", 2)
	if len(r.Path) != 3 || len(r.Path[0]) != 20 {
		t.Fatalf("a path of %d frames, %d numbers", len(r.Path), len(r.Path[0]))
	}
	for i, v := range r.Path[2] {
		if math.Abs(v-r.X[i]) > 1e-4 {
			t.Errorf("coordinate %d ends at %g, its path at %g", i, r.X[i], v)
		}
	}
	if slices.Equal(r.Path[0], r.Path[2]) {
		t.Error("nothing moved")
	}
}

// Ensure that a step so long that positions overflow is an error that says so.
func TestRunDiverges(t *testing.T) {
	d, err := known.NewDensity("gaussian", 2)
	if err != nil {
		t.Fatal(err)
	}
	_, err = known.Run(enginetest.Backend(t), known.Config{Density: d, Sampler: "ula", Systems: 1, Particles: 4, Steps: 4, InitialStd: 2, StepSize: 1e12})
	if err == nil || !strings.Contains(err.Error(), "smaller step size") {
		t.Errorf("error %v", err)
	}
}
