package main

import (
	"math"
	"math/rand/v2"

	"github.com/stein-rl/stein/nn"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// The sizes of the policy update in workload.py.
const (
	states, actionDim, obsDim = 100, 6, 17
	hidden, steps             = 256, 3
	alpha                     = 0.2
	bandwidth, stepSize       = 1.0, 0.1
)

// update times the loss mean(log q − log p̄) and its gradients by the initial
// Gaussian's mean and log-std, log σ and log ε.
func update(b compute.Backend, o options) (result, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	state, err := RNGStateFromSeed(1)
	if err != nil {
		return nil, err
	}
	args := []any{
		state, uniform(rng, math.Sqrt(3), states, obsDim), // of variance one
		tensors.FromScalarAndDimensions(float32(0), states, actionDim),
		tensors.FromScalarAndDimensions(float32(-1), states, actionDim),
		tensors.FromScalar(float32(math.Log(bandwidth))), tensors.FromScalar(float32(math.Log(stepSize))),
	}
	for range 2 {
		args = append(args, weights(rng)...)
	}
	ms, median, err := timed(b, o, policyUpdate(o.particles), args...)
	return result{"particles": o.particles, "ms": ms, "median_ms": median}, err
}

// policyUpdate builds the loss and its gradients.
func policyUpdate(m int) func(in []*Node) []*Node {
	return func(in []*Node) []*Node {
		state, obs, mean, logStd, logSigma, logEpsilon := in[0], in[1], in[2], in[3], in[4], in[5]
		q1, q2 := critic(in[6:13], obs), critic(in[13:20], obs)
		target := sampler.LogDensity(func(x *Node) *Node { return MulScalar(Min(q1(x), q2(x)), 1/alpha) })
		smp := metSVGD(learned(logSigma), learned(logEpsilon))
		smp.Trace.SelfTerm = true // as the peers do
		at := sampler.At{Noise: sampler.KeyNoise{Key: random.NewKey(state)}}
		q0 := sampler.DiagonalGaussian{Mean: mean, Std: Exp(logStd)}
		r := sampler.Start(at, q0, smp, target, m, sampler.Steps{Max: steps})
		loss := ReduceAllMean(Sub(r.LogQ, r.LogP))
		return append([]*Node{loss}, Gradient(loss, mean, logStd, logSigma, logEpsilon)...)
	}
}

// metSVGD has the trace term and the spectral bound.
func metSVGD(sigma, epsilon sampler.Scale) sampler.SVGD {
	return sampler.SVGD{
		Kernel: sampler.RBF{}, Bandwidth: sigma, StepSize: epsilon,
		Bound: sampler.Bound{Kind: sampler.Spectral}, Trace: sampler.Divergence{HessianTrace: true},
	}
}

// learned is exp of a scalar node.
func learned(logs *Node) sampler.Scale { return sampler.Given{Reshape(Exp(logs), 1, 1, 1)} }

// critic is the value of x [B, M, D] at obs [B, S]. The first layer's part for the states
// is computed once for all particles.
func critic(w []*Node, obs *Node) func(x *Node) *Node {
	ofObs := Add(Dot(obs, w[0]).Product(), InsertAxes(w[2], 0)) // [B, H]
	return func(x *Node) *Node {
		b, m := x.Shape().Dim(0), x.Shape().Dim(1)
		h := Dot(Reshape(x, b*m, actionDim), w[1]).Product() // [B·M, H]
		h = nn.ELU(Add(Reshape(h, b, m, hidden), InsertAxes(ofObs, 1)))
		h = Dot(Reshape(h, b*m, hidden), w[3]).Product()
		h = nn.ELU(Add(h, InsertAxes(w[4], 0)))
		return Add(Reshape(Dot(h, w[5]).Product(), b, m), w[6])
	}
}

// weights of one critic, by fan-in as PyTorch draws them: first layer (the rows of
// the state, those of the action, bias), second, last.
func weights(rng *rand.Rand) []any {
	first, later := 1/math.Sqrt(obsDim+actionDim), 1/math.Sqrt(hidden)
	return []any{
		uniform(rng, first, obsDim, hidden), uniform(rng, first, actionDim, hidden), uniform(rng, first, hidden),
		uniform(rng, later, hidden, hidden), uniform(rng, later, hidden), uniform(rng, later, hidden), uniform(rng, later),
	}
}

// uniform fills a float32 tensor from [−limit, limit).
func uniform(rng *rand.Rand, limit float64, dims ...int) *tensors.Tensor {
	size := 1
	for _, d := range dims {
		size *= d
	}
	flat := make([]float32, size)
	for i := range flat {
		flat[i] = float32(limit * (2*rng.Float64() - 1))
	}
	return tensors.FromFlatDataAndDimensions(flat, dims...)
}
