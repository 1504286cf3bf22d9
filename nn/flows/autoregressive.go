package flows

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"
)

// Autoregressive is an inverse autoregressive flow (Kingma et al. 2016): with the
// coordinates in Order,
//
//	y_d = exp(a_d)·x_d + m_d,   (a_d, m_d) = f(x_before d, cond),   log|det| = Σ_d a_d.
//
// It is the masked autoregressive transform of Papamakarios et al. (2017), inverted so
// that sampling takes one pass. The density of a given point would take D passes and is
// not implemented. f is one masked network (MADE, Germain et al. 2015) with two hidden
// layers; the first also reads the condition.
type Autoregressive struct {
	Hidden int // width of the masked network's two hidden layers
	// Order[d] is the position of coordinate d in the autoregressive order; nil: the
	// natural order. Flows of a chain with different orders need no permutation between
	// them.
	Order []int
	// MaxLogScale bounds |a_d| by a tanh; 0: 2. Without a bound, a few updates on an
	// inaccurate critic can send exp(a) to infinity.
	MaxLogScale float64
	Activation  func(x *Node) *Node // of the hidden layers; nil: Tanh
}

var _ Flow = Autoregressive{}

// headInit bounds the initial weights of the two output heads, so that a new flow is
// close to the identity.
const headInit = 0.1

// Alternating chains n autoregressive flows of D coordinates. Their orders are the
// natural one, its reverse, then fixed shuffles, each followed by its reverse.
func Alternating(n, dim, hidden int, act func(x *Node) *Node) Chain {
	chain := make(Chain, n)
	var order []int
	for i := range chain {
		if i%2 == 0 {
			order = shuffled(dim, i/2)
		} else {
			order = reversed(order)
		}
		chain[i] = Autoregressive{Hidden: hidden, Order: order, Activation: act}
	}
	return chain
}

// Forward maps x, [B, M, D], given cond, [B, C] or nil.
func (f Autoregressive) Forward(scope *model.Scope, x, cond *Node) (y, logDet *Node) {
	dim := x.Shape().Dim(-1)
	order := f.Order
	if order == nil {
		order = shuffled(dim, 0)
	}
	if len(order) != dim || f.Hidden < 1 {
		panic(fmt.Errorf("flows: autoregressive flow of order %v and width %d for %d coordinates", order, f.Hidden, dim))
	}

	act := f.Activation
	if act == nil {
		act = Tanh
	}
	// A hidden unit of degree k sees the coordinates at positions < k. The outputs of the
	// coordinate at position p see the units of degree <= p. Degree 0 sees only the
	// condition.
	unit := make([]int, f.Hidden)
	for k := range unit {
		unit[k] = k % dim
	}
	h := masked(scope.At("in"), x, mask(order, unit, func(place, degree int) bool { return place < degree }), 0)
	if cond != nil {
		h = Add(h, InsertAxes(dense(scope.At("cond"), cond, f.Hidden), 1)) // [B, M, H]
	}
	h = act(h)
	h = masked(scope.At("mid"), h, mask(unit, unit, func(from, to int) bool { return from <= to }), 0)
	h = act(h)

	// Two heads rather than one that is sliced: Slice has no second derivative.
	out := mask(unit, order, func(degree, place int) bool { return degree <= place })
	limit := f.MaxLogScale
	if limit == 0 {
		limit = 2
	}
	logScale := masked(scope.At("log_scale"), h, out, headInit)
	logScale = MulScalar(Tanh(MulScalar(logScale, 1/limit)), limit) // [B, M, D]
	shift := masked(scope.At("shift"), h, out, headInit)            // [B, M, D]
	return Add(Mul(x, Exp(logScale)), shift), ReduceSum(logScale, -1)
}

// masked is a linear layer, [..., I] -> [..., O], whose weights are multiplied by
// mask, [I][O]. Weights start uniform in ±bound; 0: ±1/√I.
func masked(scope *model.Scope, x *Node, mask [][]float32, bound float64) *Node {
	g, in, out := x.Graph(), len(mask), len(mask[0])
	if bound == 0 {
		bound = 1 / math.Sqrt(float64(in))
	}
	w := scope.WithInitializer(initializer.RandomUniformFn(scope, -bound, bound)).
		VariableWithShape("weights", shapes.Make(x.DType(), in, out)).NodeValue(g)
	w = Mul(w, ConvertDType(Const(g, mask), x.DType()))
	b := scope.WithInitializer(initializer.Zero).VariableWithShape("biases", shapes.Make(x.DType(), out)).NodeValue(g)
	y := Dot(x, w).General([]int{-1}, nil, []int{0}, nil)
	return Add(y, ExpandLeftToRank(b, y.Rank()))
}

// dense is a linear layer without bias, [B, I] -> [B, out].
func dense(scope *model.Scope, x *Node, out int) *Node {
	bound := 1 / math.Sqrt(float64(x.Shape().Dim(-1)))
	w := scope.WithInitializer(initializer.RandomUniformFn(scope, -bound, bound)).
		VariableWithShape("weights", shapes.Make(x.DType(), x.Shape().Dim(-1), out)).NodeValue(x.Graph())
	return Dot(x, w).General([]int{-1}, nil, []int{0}, nil)
}

// mask[i][j] is 1 if allowed(from[i], to[j]) and 0 otherwise.
func mask(from, to []int, allowed func(from, to int) bool) [][]float32 {
	m := make([][]float32, len(from))
	for i := range m {
		m[i] = make([]float32, len(to))
		for j := range m[i] {
			if allowed(from[i], to[j]) {
				m[i][j] = 1
			}
		}
	}
	return m
}

// shuffled is the identity for round 0 and otherwise a shuffle that depends only on round
// and dim, so checkpoints need not store it.
func shuffled(dim, round int) []int {
	order := make([]int, dim)
	for d := range order {
		order[d] = d
	}
	if round == 0 {
		return order
	}
	state := uint32(round) * 2654435761
	for d := dim - 1; d > 0; d-- {
		state = state*1664525 + 1013904223
		j := int(state>>8) % (d + 1)
		order[d], order[j] = order[j], order[d]
	}
	return order
}

func reversed(order []int) []int {
	r := make([]int, len(order))
	for d, place := range order {
		r[d] = len(order) - 1 - place
	}
	return r
}
