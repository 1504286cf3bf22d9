package nn

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// Statistics say what batch normalisation normalises by. The zero value is the running
// statistics: an affine map, the same for every row.
type Statistics struct {
	Learn  bool  // by those of the rows at hand, [N, I], and move the running ones
	Weight *Node // [N], each row's share in them, sum 1; nil: all the same
	// Maps is filled in where Learn is set, and else normalises in place of the running
	// statistics: other rows by the batch that was learned from. nil: neither.
	Maps Maps
}

// Maps are the affine maps x ↦ scale·x + shift that a batch was normalised by, without
// gradient, by the scope of the layer.
type Maps map[string]affine

type affine struct{ scale, shift *Node } // [F]

// BatchEpsilon is what batch normalisation adds to a variance.
const BatchEpsilon = 1e-3

// The constants of batch normalisation, those of SBX's CrossQ.
const (
	batchMomentum = 0.99 // share of the running statistics that an update keeps
	renormAfter   = 100_000
	renormScale   = 3 // r within [1/3, 3]
	renormShift   = 5 // d within [−5, 5]
	layerEpsilon  = 1e-6
)

// Names of the variables of a normalisation.
const (
	scaleName    = "scale"
	shiftName    = "shift"
	meanName     = "running_mean"
	varianceName = "running_variance"
	stepsName    = "running_steps"
)

// BatchNorm normalises the features of rows (Ioffe and Szegedy 2015), and after
// renormAfter updates renormalises them (Ioffe 2017, eq. 5):
//
//	y = γ·[(x − μ_B)/σ_B · r + d] + β,   σ² = variance + ε
//	r = clip(σ_B/σ, 1/3, 3),   d = clip((μ_B − μ)/σ, −5, 5)
//
// with the batch's statistics μ_B and σ_B, the running ones μ and σ, and no gradient
// through r and d. Before, r = 1 and d = 0. Where nothing is learned, μ_B = μ and σ_B = σ.
//
// SBX's CrossQ divides by √(σ_B²/r² + ε) there, with a σ_B that has no ε: it then no
// longer agrees with its own running statistics where a variance is small beside ε, and
// has no finite gradient where a feature is constant in a batch.
type BatchNorm struct {
	scope    *model.Scope
	features int
}

func (n BatchNorm) variable(name string, start float32, trainable bool) *model.Variable {
	if v := n.scope.GetVariable(name); v != nil {
		return v
	}
	dims := []int{n.features}
	if name == stepsName {
		dims = nil
	}
	t := tensors.FromShape(shapes.Make(dtypes.Float32, dims...))
	tensors.MustMutableFlatData(t, func(flat []float32) {
		for i := range flat {
			flat[i] = start
		}
	})
	return n.scope.VariableWithValue(name, t).SetTrainable(trainable)
}

// affine are γ and β, [F].
func (n BatchNorm) affine(g *Graph) (scale, shift *Node) {
	return n.variable(scaleName, 1, true).NodeValue(g), n.variable(shiftName, 0, true).NodeValue(g)
}

// running are the variables of the running statistics.
func (n BatchNorm) running() (mean, variance, steps *model.Variable) {
	return n.variable(meanName, 0, false), n.variable(varianceName, 1, false), n.variable(stepsName, 0, false)
}

// Affine is the map by the statistics of an earlier batch, else by the running ones,
// x ↦ scale·x + shift, [F] each.
func (n BatchNorm) Affine(g *Graph, how Statistics) (scale, shift *Node) {
	if m, ok := how.Maps[n.scope.Scope()]; ok {
		return m.scale, m.shift
	}
	gamma, beta := n.affine(g)
	mean, variance, _ := n.running()
	scale = Div(gamma, Sqrt(AddScalar(variance.NodeValue(g), BatchEpsilon)))
	return scale, Sub(beta, Mul(scale, mean.NodeValue(g)))
}

// Learn normalises x [N, F] by its own statistics and moves the running ones.
func (n BatchNorm) Learn(x *Node, how Statistics) *Node {
	g := x.Graph()
	gamma, beta := n.affine(g)
	meanVar, varianceVar, stepsVar := n.running()
	runningMean, runningVariance, steps := meanVar.NodeValue(g), varianceVar.NodeValue(g), stepsVar.NodeValue(g)

	average := func(x *Node) *Node {
		if how.Weight == nil {
			return ReduceMean(x, 0)
		}
		return ReduceSum(Mul(x, InsertAxes(how.Weight, -1)), 0)
	}
	// Deviations from a point near the mean lose no digits when they are squared.
	centred := Sub(x, InsertAxes(runningMean, 0))
	offset := average(centred)                                              // μ_B − μ
	variance := MaxScalar(Sub(average(Square(centred)), Square(offset)), 0) // [F]
	std := Sqrt(AddScalar(variance, BatchEpsilon))                          // σ_B
	runningStd := Sqrt(AddScalar(runningVariance, BatchEpsilon))            // σ
	ready := ConvertDType(GreaterOrEqual(steps, MulScalar(OnesLike(steps), renormAfter)), x.DType())
	r := ClipScalar(StopGradient(Div(std, runningStd)), 1.0/renormScale, renormScale)
	d := ClipScalar(StopGradient(Div(offset, runningStd)), -renormShift, renormShift)
	r = Add(Mul(ready, r), OneMinus(ready))
	d = Mul(ready, d)

	keep := func(v *model.Variable, old, now *Node) {
		v.SetNodeValue(Add(MulScalar(old, batchMomentum), MulScalar(StopGradient(now), 1-batchMomentum)))
	}
	keep(meanVar, runningMean, Add(runningMean, offset))
	keep(varianceVar, runningVariance, variance)
	stepsVar.SetNodeValue(AddScalar(steps, 1))

	scale := Mul(gamma, Div(r, std))
	shift := Sub(Add(beta, Mul(gamma, d)), Mul(scale, offset))
	if how.Maps != nil {
		how.Maps[n.scope.Scope()] = affine{StopGradient(scale), StopGradient(Sub(shift, Mul(scale, runningMean)))}
	}
	return Add(Mul(centred, InsertAxes(scale, 0)), InsertAxes(shift, 0))
}

// LayerNorm normalises each row of x [..., F] across its features, then scales and
// shifts it.
func LayerNorm(scope *model.Scope, x *Node) *Node {
	gamma, beta := BatchNorm{scope, x.Shape().Dim(-1)}.affine(x.Graph())
	centred := Sub(x, ReduceAndKeep(x, ReduceMean, -1))
	std := Sqrt(AddScalar(ReduceAndKeep(Square(centred), ReduceMean, -1), layerEpsilon))
	return Add(Mul(Div(centred, std), expand(gamma, x)), expand(beta, x))
}

// IsRunning says whether a variable is a running statistic: no gradient trains it, and a
// copy of its network needs it.
func IsRunning(v *model.Variable) bool {
	return v.Name() == meanName || v.Name() == varianceName || v.Name() == stepsName
}

// expand puts axes of size one before those of x's last, for [F] beside [..., F].
func expand(v, x *Node) *Node {
	for v.Rank() < x.Rank() {
		v = InsertAxes(v, 0)
	}
	return v
}
