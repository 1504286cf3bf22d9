package sampler

import (
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/nn"
)

// A Scale is a positive number per system, [B or 1, 1, 1], or per system and dimension,
// [B or 1, 1, D]: a bandwidth σ, or a step size before its bound.
type Scale interface {
	Value(at At, p Particles) *Node
}

// Particles is the input of bandwidth heuristics.
type Particles struct {
	X       *Node // [B, M, D]
	Squared *Node // ‖x_i − x_j‖², [B, M, M]
	Count   *Node // number alive, [B, 1]
	Weight  *Node // 1 alive, 0 dead, [B, M]
}

// Fixed is the same number at every step.
type Fixed float64

// Value is c, [1, 1, 1].
func (c Fixed) Value(_ At, p Particles) *Node {
	return Reshape(Scalar(p.X.Graph(), p.X.DType(), float64(c)), 1, 1, 1)
}

// PerStep has one number per step; the last one repeats.
type PerStep []float64

// Value is the number of at.Step, [1, 1, 1].
func (c PerStep) Value(at At, p Particles) *Node {
	return Fixed(c[min(at.Step, len(c)-1)]).Value(at, p)
}

// Decaying is From·Rate^l, never below Floor.
type Decaying struct{ From, Rate, Floor float64 }

// Value is the number of at.Step, [1, 1, 1].
func (d Decaying) Value(at At, p Particles) *Node {
	return Fixed(max(d.Floor, d.From*math.Pow(d.Rate, float64(at.Step)))).Value(at, p)
}

// Given is a scale computed elsewhere in the graph, [1 or B, 1, 1 or D]: one node, or one
// per step.
type Given []*Node

// Value is the node of at.Step.
func (g Given) Value(at At, _ Particles) *Node { return g[min(at.Step, len(g)-1)] }

// Learned is a variable in the scope, stored as a logarithm and clamped to [Min, Max]
// (zero: no limit).
type Learned struct {
	Name          string // name of the variable, below at.Scope
	Init          float64
	Min, Max      float64
	EachStep      bool // one number per step
	EachDimension bool // one number per dimension
}

// Value is exp of the variable, [1, 1, 1 or D].
func (l Learned) Value(at At, p Particles) *Node {
	steps, dims := 1, 1
	if l.EachStep {
		steps = at.Steps
	}
	if l.EachDimension {
		dims = p.X.Shape().Dimensions[2]
	}
	start := tensors.FromScalarAndDimensions(math.Log(l.Init), steps, dims)
	if p.X.DType() == dtypes.Float32 {
		start = tensors.FromScalarAndDimensions(float32(math.Log(l.Init)), steps, dims)
	}
	logs := at.Scope.VariableWithValue(l.Name, start).NodeValue(p.X.Graph()) // [steps, dims]
	row := Slice(logs, AxisElem(min(at.Step, steps-1)))
	return Reshape(Exp(clampLog(row, l.Min, l.Max)), 1, 1, dims)
}

// Network is exp of a small network of at.Cond, clamped to [Min, Max]. It starts near
// Init in every state.
type Network struct {
	Name     string
	Init     float64
	Hidden   []int // width of each hidden layer
	Min, Max float64
}

// Value is [B, 1, 1].
func (n Network) Value(at At, _ Particles) *Node {
	scope, x := at.Scope.At("%s", n.Name), at.Cond
	for i, width := range n.Hidden {
		x = activation.Relu(dense(scope.At("fnn_hidden_layer_%d", i), x, width))
	}
	out := dense(scope.At("fnn_output_layer"), x, 1) // [B, 1]
	// The network's output is scaled by 0.1, so that the initial value is close to Init
	// everywhere.
	logs := AddScalar(MulScalar(out, 0.1), math.Log(n.Init))
	return Reshape(Exp(clampLog(logs, n.Min, n.Max)), -1, 1, 1)
}

// dense is a layer, x [B, I] -> [B, out], with the variable names and initial values of
// GoMLX's package fnn, which supports only one width for all layers.
func dense(scope *model.Scope, x *Node, out int) *Node {
	weights := scope.VariableWithShape("weights", shapes.Make(x.DType(), x.Shape().Dim(-1), out)).NodeValue(x)
	biases := scope.VariableWithShape("biases", shapes.Make(x.DType(), out)).NodeValue(x)
	return nn.Dense(x, weights, biases, compute.DenseLayoutInputOutputs)
}

func clampLog(x *Node, low, high float64) *Node {
	if low > 0 {
		x = MaxScalar(x, math.Log(low))
	}
	if high > 0 {
		x = MinScalar(x, math.Log(high))
	}
	return x
}

// Median is the heuristic σ = √(med / (2 ln(n+1))). med is the lower median of all M²
// squared distances, including the zero diagonal and counting pairs with a dead particle
// as zero; n is the number of living particles. Gradients treat it as a constant.
type Median struct{}

// Value is [B, 1, 1].
func (Median) Value(_ At, p Particles) *Node {
	d := p.masked()
	dims := d.Shape().Dimensions
	med := lowerMedian(Reshape(d, dims[0], dims[1]*dims[2])) // [B, 1]
	return p.bandwidth(StopGradient(med))
}

// Fifteen rounds of three cuts narrow the interval to 2^−30 of the largest number, below
// float32's spacing. Fewer cuts per round need fewer comparisons; more cuts need a
// smaller graph.
const medianRounds, medianCuts = 15, 3

// lowerMedian is the element of rank (N+1)/2 of each row, [B, N] -> [B, 1], for N
// non-negative numbers. It narrows an interval by counting and returns the smallest
// element above its lower end. Sort is not an option: GoMLX cannot build it inside a
// While, in which learners fuse their updates.
func lowerMedian(x *Node) *Node {
	g, dtype := x.Graph(), x.DType()
	rank := float64((x.Shape().Dimensions[1] + 1) / 2)
	shares := make([]float64, medianCuts)
	for i := range shares {
		shares[i] = float64(i+1) / (medianCuts + 1)
	}
	cuts := InsertAxes(ConvertDType(Const(g, shares), dtype), 0) // [1, K]
	top := ReduceAndKeep(x, ReduceMax, -1)                       // [B, 1]
	low, high := AddScalar(Neg(top), -1e-30), top                // fewer than rank numbers are ≤ low
	for range medianRounds {
		at := Add(low, Mul(Sub(high, low), cuts)) // [B, K]
		below := LessOrEqual(InsertAxes(x, 1), InsertAxes(at, 2))
		count := ConvertDType(ReduceSum(ConvertDType(below, dtypes.Int32), -1), dtype) // [B, K]
		enough := GreaterOrEqual(count, MulScalar(OnesLike(count), rank))
		over := BroadcastToShape(high, at.Shape())
		under := BroadcastToShape(low, at.Shape())
		low, high = ReduceAndKeep(Where(enough, under, at), ReduceMax, -1), ReduceAndKeep(Where(enough, at, over), ReduceMin, -1)
	}
	above := GreaterThan(x, BroadcastToShape(low, x.Shape()))
	return ReduceAndKeep(Where(above, x, BroadcastToShape(top, x.Shape())), ReduceMin, -1)
}

// Mean is like Median with the mean of the squared distances times Factor (zero: 1). The
// earlier code's default is 0.5.
type Mean struct{ Factor float64 }

// Value is [B, 1, 1].
func (m Mean) Value(_ At, p Particles) *Node {
	d := p.masked()
	mean := InsertAxes(ReduceMean(d, 1, 2), -1) // [B, 1]
	if m.Factor != 0 {
		mean = MulScalar(mean, m.Factor)
	}
	return p.bandwidth(mean)
}

// masked is the squared distances, with zeros for pairs with a dead particle, as a
// constant.
func (p Particles) masked() *Node {
	pairs := Mul(InsertAxes(p.Weight, 1), InsertAxes(p.Weight, 2))
	return StopGradient(Mul(p.Squared, pairs))
}

// bandwidth is √(h / (2 ln(n+1))): h [B, 1] -> [B, 1, 1].
func (p Particles) bandwidth(h *Node) *Node {
	return InsertAxes(Sqrt(Div(h, MulScalar(Log(OnePlus(p.Count)), 2))), -1)
}

var (
	_ Scale = Fixed(0)
	_ Scale = PerStep(nil)
	_ Scale = Decaying{}
	_ Scale = Given(nil)
	_ Scale = Learned{}
	_ Scale = Network{}
	_ Scale = Median{}
	_ Scale = Mean{}
)

// systems is the shape [B] in the dtype of x.
func systems(x *Node) shapes.Shape { return shapes.Make(x.DType(), x.Shape().Dimensions[0]) }

// ParticlesOf describes x [B, M, D] with all particles alive, for heuristics next to a
// learned scale.
func ParticlesOf(x *Node) Particles {
	n, weight := State{X: x}.count()
	return Particles{X: x, Squared: squaredDistances(x), Count: n, Weight: weight}
}
