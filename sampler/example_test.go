package sampler_test

import (
	"fmt"
	"log"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// MET-SVGD moves forty particles from N(0, 1) towards N(2, ½²) and keeps their
// log-densities: −E[log q] is the entropy of where they are.
func Example() {
	backend, _, err := engine.Open(engine.PureGo)
	if err != nil {
		log.Fatal(err)
	}
	target := sampler.LogDensity(func(x *Node) *Node { // x [B, M, D] -> [B, M], up to a constant
		return ReduceSum(MulScalar(Square(AddScalar(x, -2)), -0.5/(0.5*0.5)), -1)
	})
	met := sampler.SVGD{
		Kernel: sampler.RBF{}, Bandwidth: sampler.Fixed(2), StepSize: sampler.Fixed(0.15),
		Trace: sampler.Divergence{HessianTrace: true, Exact: true},
	}
	exec, err := NewExec(backend, func(rng *Node) (mean, entropy *Node) {
		zero := Const(rng.Graph(), [][]float64{{0}}) // one system in one dimension: [B, D]
		q0 := sampler.DiagonalGaussian{Mean: zero, Std: OnesLike(zero)}
		at := sampler.At{Noise: sampler.KeyNoise{Key: random.NewKey(rng)}}
		run := sampler.Start(at, q0, met, target, 40, sampler.Steps{Max: 12})
		return ReduceAllMean(run.X), Neg(ReduceAllMean(run.LogQ))
	})
	if err != nil {
		log.Fatal(err)
	}
	rng, err := RNGStateFromSeed(1)
	if err != nil {
		log.Fatal(err)
	}
	out, err := exec.Call(rng)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("mean %.1f, entropy %.1f; the target's are 2.0 and 0.7\n", out[0].Value(), out[1].Value())
	// Output: mean 2.0, entropy 0.7; the target's are 2.0 and 0.7
}
