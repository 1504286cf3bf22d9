// A custom program: stein with a further policy, an equal mixture of K Gaussians, which
// can represent several modes.
//
//	go run ./examples/custom_policy train --config pendulum/sac --set policy.kind=mixture --set policy.k=5
package main

import (
	"math"
	"os"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/cmd"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
)

// Mixture has a network that outputs K means, and one standard deviation for all.
type Mixture struct {
	nn.Network `yaml:",inline"`
	K          int     `want:">= 1"`
	Std        float64 `want:"> 0"` // of each Gaussian, before tanh
}

// Sample draws each particle from a random component.
func (p Mixture) Sample(q policies.Query) policies.Draw {
	b, m, a := q.Obs.Shape().Dim(0), q.Particles, q.ActDim
	f32 := func(dims ...int) shapes.Shape { return shapes.Make(q.Obs.DType(), dims...) }
	means := Reshape(p.Apply(q.Scope.At("means"), q.Obs, p.K*a, nn.Statistics{Learn: q.Learn}), b, 1, p.K, a)
	dice := ArgMax(q.Key.Fold(0).Uniform(f32(b, m, p.K)), -1)
	mine := InsertAxes(OneHot(dice, p.K, q.Obs.DType()), -1)                                       // [B, M, K, 1]
	u := Add(ReduceSum(Mul(mine, means), 2), MulScalar(q.Key.Fold(1).Normal(f32(b, m, a)), p.Std)) // [B, M, A]

	// log q(u) = log 1/K Σ_k N(u; mean_k, Std²)
	diff := Sub(InsertAxes(u, 2), means)                                    // [B, M, K, A]
	each := MulScalar(ReduceSum(Square(diff), -1), -0.5/(p.Std*p.Std))      // [B, M, K]
	top := StopGradient(ReduceAndKeep(each, ReduceMax, -1))                 // [B, M, 1]
	logQ := Add(Squeeze(top, -1), Log(ReduceMean(Exp(Sub(each, top)), -1))) // [B, M]
	logQ = AddScalar(logQ, -float64(a)*math.Log(p.Std*math.Sqrt(2*math.Pi)))
	action, logProb := policies.Squash(u, logQ)
	return policies.Draw{Action: action, LogProb: logProb}
}

func catalog() experiments.Catalog {
	c := experiments.Builtin()
	c.Policies["mixture"] = func() policies.Policy { // with its defaults
		return Mixture{nn.Network{Hidden: []int{256, 256}, Activation: "relu"}, 3, 0.3}
	}
	return c
}

func main() { os.Exit(cmd.Main(catalog())) }
