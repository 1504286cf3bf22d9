package sampler_test

import (
	"math"
	"strings"
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
		want string // part of the error; none: no error
	}{
		{"free", climb, "system 1: a particle, its log-density or its score is not finite at step 2"},
		{"truncated", cut, "system 1: a particle"},
		{"accept test", hold, ""},
	} {
		notFinite, tooFew := faults(t, c.smp, cliff, []float64{-9, -9.5, 0.5, 0.2}, 5)
		err := sampler.Faults{}.Check(notFinite, tooFew)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	// Without the cliff truncation empties the systems instead: x ← x + 1 leaves ±3 at step 4.
	slope := sampler.LogDensity(func(x *Node) *Node { return ReduceSum(x, -1) })
	notFinite, tooFew := faults(t, cut, slope, []float64{-9, -9.5, 0.5, 0.2}, 5)
	err := sampler.Faults{}.Check(notFinite, tooFew)
	if err == nil || !strings.Contains(err.Error(), "system 0: truncation left fewer than two particles at step 1") || tooFew[1] != 3 {
		t.Errorf("error %v; too few at steps %v", err, tooFew)
	}
}

// faults runs two systems of two particles in one dimension, q⁰ at 0 ± 1.
func faults(t *testing.T, smp sampler.SVGD, target sampler.Target, x []float64, steps int) (notFinite, tooFew []float64) {
	t.Helper()
	exec := MustNewExec(enginetest.PureGo(t), func(x, state *Node) (*Node, *Node) {
		zero := ZerosLike(ReduceAndKeep(x, ReduceSum, 1))
		at := sampler.At{Noise: sampler.KeyNoise{Key: random.NewKey(state)}, Mean: zero, Std: OnesLike(zero)}
		r := sampler.Run(at, smp, target, x, ZerosLike(ReduceSum(x, -1)), sampler.Steps{Max: steps})
		return r.Faults.NotFinite, r.Faults.TooFew
	})
	state, err := RNGStateFromSeed(1)
	if err != nil {
		t.Fatal(err)
	}
	out := exec.MustCall(tensors.FromFlatDataAndDimensions(x, 2, 2, 1), state)
	return flatten(out[0]), flatten(out[1])
}
