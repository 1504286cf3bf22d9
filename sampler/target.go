package sampler

import (
	"math"

	"github.com/stein-rl/stein/nn"

	. "github.com/gomlx/gomlx/core/graph"
)

// A Target is an unnormalised log-density p̄. Rows are independent: row (b, m) of the
// result depends only on particle (b, m).
type Target interface {
	// Score returns log p̄ [B, M] and its gradient [B, M, D] at x [B, M, D]. The gradient
	// is itself differentiable.
	Score(x *Node) (logP, score *Node)
}

// LogDensity is a target given by log p̄ alone, [B, M, D] -> [B, M]; its score is
// computed by automatic differentiation.
type LogDensity func(x *Node) *Node

// Score differentiates f.
func (f LogDensity) Score(x *Node) (logP, score *Node) {
	logP = f(x)
	return logP, Gradient(ReduceAllSum(logP), x)[0]
}

var _ Target = LogDensity(nil)

// Gaussian is the normalised log-density of a normal with diagonal covariance; mean and
// std broadcast to [B, M, D].
func Gaussian(mean, std *Node) LogDensity {
	return func(x *Node) *Node {
		z := Div(Sub(x, mean), std)
		each := Sub(MulScalar(Square(z), -0.5), Log(std)) // [B, M, D]
		return AddScalar(ReduceSum(each, -1), -0.5*float64(x.Shape().Dimensions[2])*math.Log(2*math.Pi))
	}
}

// Mixture is the normalised log-density of a mixture of K normals: means [B, K, D],
// precisions [B, K, D, D], their log-determinants and the log-weights [B, K] (nil:
// equal). If B is 1, all systems share the mixture.
func Mixture(means, precisions, logDets, logWeights *Node) LogDensity {
	dims := means.Shape().Dimensions
	k, d := dims[1], dims[2]
	return func(x *Node) *Node {
		b := x.Shape().Dimensions[0]
		mu := BroadcastToDims(means, b, k, d)
		lambda := BroadcastToDims(precisions, b, k, d, d)
		diff := Sub(InsertAxes(x, 1), InsertAxes(mu, 2))         // [B, K, M, D]
		stretched := Einsum("bkmd,bkde->bkme", diff, lambda)     // [B, K, M, D]
		quad := ReduceSum(Mul(stretched, diff), -1)              // [B, K, M]
		offset := MulScalar(BroadcastToDims(logDets, b, k), 0.5) // [B, K]
		offset = AddScalar(offset, -0.5*float64(d)*math.Log(2*math.Pi))
		if logWeights == nil {
			offset = AddScalar(offset, -math.Log(float64(k)))
		} else {
			offset = Add(offset, BroadcastToDims(logWeights, b, k))
		}
		each := Add(MulScalar(quad, -0.5), InsertAxes(offset, -1)) // [B, K, M]
		return logSumExp(each, 1)
	}
}

// logSumExp is log Σ exp along an axis, which it removes.
func logSumExp(x *Node, axis int) *Node {
	top := StopGradient(ReduceAndKeep(x, ReduceMax, axis))
	return Add(Log(ReduceSum(Exp(Sub(x, top)), axis)), Squeeze(top, axis))
}

// MLP is a network's scalar output minus quadratic·‖x‖²: weights [in, out] and biases
// [out], ELU between the layers, a linear output.
func MLP(weights, biases []*Node, quadratic float64) LogDensity {
	return func(x *Node) *Node {
		dims := x.Shape().Dimensions
		h := Reshape(x, dims[0]*dims[1], dims[2]) // [B·M, D]
		for i, w := range weights {
			h = Add(Dot(h, w).Product(), InsertAxes(biases[i], 0))
			if i < len(weights)-1 {
				h = nn.ELU(h)
			}
		}
		value := Reshape(h, dims[0], dims[1])
		return Sub(value, MulScalar(ReduceSum(Square(x), -1), quadratic))
	}
}
