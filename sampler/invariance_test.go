package sampler_test

import (
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// moments starts systems of m particles from the target itself, a normal with standard
// deviations 0.5 and 2, takes steps, and answers how many standard errors the means of
// x, x² and x⁴ (each coordinate over its σ) are from those of the target. The standard
// error is that of independent systems.
func moments(t *testing.T, smp sampler.Sampler, systems, m, steps int) map[string]float64 {
	t.Helper()
	sigma := []float64{0.5, 2}
	exec := MustNewExec(enginetest.Backend(t), func(state *Node) *Node {
		g := state.Graph()
		at := sampler.At{Noise: sampler.KeyNoise{Key: random.NewKey(state)}}
		std := BroadcastToDims(InsertAxes(Const(g, sigma), 0), systems, 2)
		start := sampler.DiagonalGaussian{Mean: ZerosLike(std), Std: std}
		target := sampler.Gaussian(InsertAxes(ZerosLike(std), 1), InsertAxes(std, 1))
		return sampler.Start(at, start, smp, target, m, sampler.Steps{Max: steps}).X
	})
	state, err := RNGStateFromSeed(11)
	if err != nil {
		t.Fatal(err)
	}
	x := flatten(exec.MustCall(state)[0])
	off := map[string]float64{}
	for d, s := range sigma {
		for _, p := range []struct {
			name  string
			power int
			want  float64
		}{{"mean", 1, 0}, {"square", 2, 1}, {"fourth", 4, 3}} {
			var sum, sum2 float64
			for b := range systems {
				mean := 0.0
				for i := range m {
					mean += math.Pow(x[(b*m+i)*2+d]/s, float64(p.power)) / float64(m)
				}
				sum += mean
				sum2 += mean * mean
			}
			n := float64(systems)
			mean := sum / n
			se := math.Sqrt((sum2/n - mean*mean) / n)
			off[p.name+map[int]string{0: " of x1", 1: " of x2"}[d]] = (mean - p.want) / se
		}
	}
	return off
}

// limit is in standard errors: with the fixed seeds here nothing is drawn anew, and over
// seeds one of a test's six figures would pass it by chance once in 2,600 runs.
const limit = 4.0

// Ensure that MALA leaves its target as it is.
func TestMALAKeepsTheTarget(t *testing.T) {
	for name, z := range moments(t, sampler.MALA{StepSize: sampler.Fixed(0.1)}, 4000, 2, 10) {
		if math.Abs(z) > limit {
			t.Errorf("%s: %.1f standard errors off", name, z)
		}
	}
}

// Ensure that the test above can fail: without the accept test the same step inflates
// the narrow coordinate.
func TestULAMovesTheTarget(t *testing.T) {
	if z := moments(t, sampler.ULA{StepSize: sampler.Fixed(0.1)}, 4000, 2, 10)["square of x1"]; z < limit {
		t.Errorf("the narrow coordinate's square is %.1f standard errors off, want more than %g", z, limit)
	}
}

// Ensure that SVGD with Metropolis–Hastings keeps its target when forward and inverse
// are proposed with equal chance, and that the forward step alone does not.
func TestRademacherKeepsTheTarget(t *testing.T) {
	smp := sampler.SVGD{
		Kernel: sampler.RBF{}, Bandwidth: sampler.Fixed(1), StepSize: sampler.Fixed(0.05),
		Trace: sampler.Divergence{HessianTrace: true, Exact: true}, Control: sampler.MetropolisHastings{Rademacher: true},
	}
	for name, z := range moments(t, smp, 4000, 4, 6) {
		t.Logf("%s: %.2f standard errors", name, z)
		if math.Abs(z) > limit {
			t.Errorf("%s: %.1f standard errors off", name, z)
		}
	}
	smp.Control = sampler.MetropolisHastings{}
	worst := 0.0
	for _, z := range moments(t, smp, 4000, 4, 6) {
		worst = math.Max(worst, math.Abs(z))
	}
	t.Logf("forward alone: %.1f standard errors", worst)
	if worst < limit {
		t.Errorf("the forward step alone is only %.1f standard errors off", worst)
	}
}
