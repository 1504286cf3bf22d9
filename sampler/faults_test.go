package sampler_test

import (
	"math"
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// Ensure that a run that breaks says in which system and at which step, and that its
// neighbour does not.
func TestFaults(t *testing.T) {
	// log p̄ is −∞ beyond 2, where its slope of 1 leads.
	cliff := sampler.LogDensity(func(x *Node) *Node {
		sum := ReduceSum(x, -1)
		return Where(GreaterThan(sum, MulScalar(OnesLike(sum), 2)), MulScalar(OnesLike(sum), math.Inf(-1)), sum)
	})
	climb := sampler.SVGD{
		Kernel: sampler.RBF{}, Bandwidth: sampler.Fixed(100), StepSize: sampler.Fixed(1), Trace: sampler.Divergence{HessianTrace: true},
	}
	cut := climb
	cut.Control = sampler.Truncation{}
	hold := climb
	hold.Control = sampler.MetropolisHastings{}
	for _, c := range []struct {
		name string
		smp  sampler.SVGD
		want []float64 // first step that is not finite, of each system; −1: none
	}{
		{"free", climb, []float64{-1, 2}},
		{"truncated", cut, []float64{-1, 2}},
		{"accept test", hold, []float64{-1, -1}},
	} {
		if got := faults(t, c.smp, cliff, []float64{-9, -9.5, 0.5, 0.2}, 5); !slices.Equal(got, c.want) {
			t.Errorf("%s: not finite at steps %v, want %v", c.name, got, c.want)
		}
	}
}

// faults runs two systems of two particles in one dimension, q⁰ at 0 ± 1.
func faults(t *testing.T, smp sampler.SVGD, target sampler.Target, x []float64, steps int) (notFinite []float64) {
	t.Helper()
	exec := MustNewExec(enginetest.PureGo(t), func(x, state *Node) *Node {
		zero := ZerosLike(ReduceAndKeep(x, ReduceSum, 1))
		at := sampler.At{Noise: sampler.KeyNoise{Key: random.NewKey(state)}, Mean: zero, Std: OnesLike(zero)}
		r := sampler.Run(at, smp, target, x, ZerosLike(ReduceSum(x, -1)), sampler.Steps{Max: steps})
		return r.Faults.NotFinite
	})
	state, err := RNGStateFromSeed(1)
	if err != nil {
		t.Fatal(err)
	}
	out := exec.MustCall(tensors.FromFlatDataAndDimensions(x, 2, 2, 1), state)
	return flatten(out[0])
}
