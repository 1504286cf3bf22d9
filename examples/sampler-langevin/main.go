// Command sampler-langevin samples from a density with two modes on a line, with MALA.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// modes is ½N(−1, 0.5²) + ½N(1, 0.5²): mean 0, variance 1.25.
var modes = sampler.LogDensity(func(x *Node) *Node {
	constant := func(v any) *Node { return Const(x.Graph(), v) }
	return sampler.Mixture(constant([][][]float32{{{-1}, {1}}}), constant([][][][]float32{{{{4}}, {{4}}}}),
		constant([][]float32{{1.3863, 1.3863}}), nil)(x)
})

func run(out io.Writer) error {
	backend, _, err := engine.Open("")
	if err != nil {
		return err
	}
	key, err := RNGStateFromSeed(0)
	if err != nil {
		return err
	}
	exec, err := NewExec(backend, func(key *Node) []*Node {
		at := sampler.At{Noise: sampler.KeyNoise{Key: random.NewKey(key)}}
		wide := MulScalar(Const(key.Graph(), [][]float32{{1}}), 1.5)
		q0 := sampler.DiagonalGaussian{Mean: ZerosLike(wide), Std: wide}
		r := sampler.Start(at, q0, sampler.MALA{StepSize: sampler.Fixed(0.3)}, modes, 4000, sampler.Steps{Max: 12})
		return []*Node{ReduceAllMean(r.X), ReduceAllMean(Square(r.X)), ReduceAllMean(r.Infos[11].Accepted)}
	})
	if err != nil {
		return err
	}
	got, err := exec.Call(key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "mean %.3f, second moment %.3f of 1.250, accepted %.3f\n", got[0].Value(), got[1].Value(), got[2].Value())
	return err
}

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}
