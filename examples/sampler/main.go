// Command sampler samples from a banana-shaped density with MET-SVGD and estimates its
// entropy.
package main

import (
	"fmt"
	"io"
	"log"
	"math"
	"os"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// banana is log p̄ of a bent normal, x [B, M, 2] -> [B, M]. Bending preserves volume, so
// the entropy is that of the normal, ln(2πe).
var banana = sampler.LogDensity(func(x *Node) *Node {
	a, b := Einsum("bmd,d->bm", x, Const(x.Graph(), []float32{1, 0})), Einsum("bmd,d->bm", x, Const(x.Graph(), []float32{0, 1}))
	return MulScalar(Add(Square(a), Square(Sub(b, MulScalar(Square(a), 0.5)))), -0.5)
})

var met = sampler.SVGD{
	Kernel:    sampler.RBF{},
	Bandwidth: sampler.Learned{Name: "sigma", Init: 1, Min: 0.1, Max: 10},
	StepSize:  sampler.Learned{Name: "epsilon", Init: 0.5, Min: 0.01, Max: 10},
	Bound:     sampler.Bound{Kind: sampler.Spectral, Leaky: true},
	Trace:     sampler.Divergence{HessianTrace: true},
}

func run(out io.Writer) error {
	backend, _, err := engine.Open("")
	if err != nil {
		return err
	}
	exec, err := model.NewExec(backend, model.NewStore(), func(scope *model.Scope, key *Node) (loss, entropy *Node) {
		at := sampler.At{Scope: scope, Noise: sampler.KeyNoise{Key: random.NewKey(key)}}
		wide := Const(key.Graph(), [][]float32{{1.5, 1.5}})
		q0 := sampler.DiagonalGaussian{Mean: BroadcastToDims(ZerosLike(wide), 16, 2), Std: BroadcastToDims(wide, 16, 2)}
		r := sampler.Start(at, q0, met, banana, 64, sampler.Steps{Max: 4}) // 16 systems of 64 particles
		loss = ReduceAllMean(Sub(r.LogQ, r.LogP))                          // KL(q || p), up to a constant
		optimizer.Adam().LearningRate(0.05).Done().UpdateGraph(scope, loss.Graph(), loss)
		return loss, Neg(ReduceAllMean(r.LogQ))
	})
	if err != nil {
		return err
	}
	for i := range int64(61) {
		key, err := RNGStateFromSeed(i)
		if err != nil {
			return err
		}
		loss, entropy, err := exec.Call2(key)
		if err != nil {
			return err
		}
		if i%12 == 0 {
			fmt.Fprintf(out, "fit %3d: loss %.3f, entropy %.3f of %.3f\n", i, loss.Value(), entropy.Value(), math.Log(2*math.Pi*math.E))
		}
	}
	return nil
}

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}
