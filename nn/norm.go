package nn

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// Statistics selects the statistics of batch normalisation. The zero value selects the
// running statistics: one affine map for all rows.
type Statistics struct {
	Learn  bool  // use the statistics of the rows, [N, I], and update the running ones
	Weight *Node // [N], weights of the rows in them, sum 1; nil: equal
	// Maps, if not nil, receives the maps of the batch if Learn is set. Otherwise it
	// replaces the running statistics, so that other rows are normalised by that batch.
	Maps Maps
}

// Maps holds the affine maps x ↦ scale·x + shift that normalised a batch, without
// gradient, keyed by the scope of the layer.
type Maps map[string]affine

type affine struct{ scale, shift *Node } // [F]

// BatchEpsilon is added to variances in batch normalisation.
const BatchEpsilon = 1e-3

// The constants of batch normalisation, those of SBX's CrossQ.
const (
	batchMomentum = 0.99 // decay of the running statistics
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

// BatchNorm is batch normalisation (Ioffe and Szegedy 2015), and after renormAfter
// updates batch renormalisation (Ioffe 2017, eq. 5):
//
//	y = γ·[(x − μ_B)/σ_B · r + d] + β,   σ² = variance + ε
//	r = clip(σ_B/σ, 1/3, 3),   d = clip((μ_B − μ)/σ, −5, 5)
//
// with the batch's statistics μ_B and σ_B, the running ones μ and σ, and no gradient
// through r and d. Before, r = 1 and d = 0. Without learning, μ_B = μ and σ_B = σ.
//
// SBX's CrossQ divides by √(σ_B²/r² + ε) instead, with a σ_B without ε. That disagrees
// with its own running statistics if a variance is small compared with ε, and has no
// finite gradient if a feature is constant in a batch.
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

// affine returns γ and β, [F].
func (n BatchNorm) affine(g *Graph) (scale, shift *Node) {
	return n.variable(scaleName, 1, true).NodeValue(g), n.variable(shiftName, 0, true).NodeValue(g)
}

// running returns the variables of the running statistics.
func (n BatchNorm) running() (mean, variance, steps *model.Variable) {
	return n.variable(meanName, 0, false), n.variable(varianceName, 1, false), n.variable(stepsName, 0, false)
}

// Affine returns the map x ↦ scale·x + shift, [F] each, of how.Maps if it has this layer,
// otherwise of the running statistics.
func (n BatchNorm) Affine(g *Graph, how Statistics) (scale, shift *Node) {
	if m, ok := how.Maps[n.scope.Scope()]; ok {
		return m.scale, m.shift
	}
	gamma, beta := n.affine(g)
	mean, variance, _ := n.running()
	scale = Div(gamma, Sqrt(AddScalar(variance.NodeValue(g), BatchEpsilon)))
	return scale, Sub(beta, Mul(scale, mean.NodeValue(g)))
}

// learn updates the running statistics by those of x [N, F], and returns x less a point near
// their mean, [N, F], with the scale and shift, [F] each, that normalise it.
func (n BatchNorm) learn(x *Node, how Statistics) (centred, scale, shift *Node) {
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
	// Subtract a point near the mean first, so that squaring loses no digits.
	centred = Sub(x, InsertAxes(runningMean, 0))
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

	scale = Mul(gamma, Div(r, std))
	shift = Sub(Add(beta, Mul(gamma, d)), Mul(scale, offset))
	if how.Maps != nil {
		how.Maps[n.scope.Scope()] = affine{StopGradient(scale), StopGradient(Sub(shift, Mul(scale, runningMean)))}
	}
	return centred, scale, shift
}

// LayerNorm normalises each row of x [..., F] across its features, then scales and
// shifts it.
func LayerNorm(scope *model.Scope, x *Node) *Node {
	gamma, beta := BatchNorm{scope, x.Shape().Dim(-1)}.affine(x.Graph())
	centred := Sub(x, ReduceAndKeep(x, ReduceMean, -1))
	std := Sqrt(AddScalar(ReduceAndKeep(Square(centred), ReduceMean, -1), layerEpsilon))
	return Add(Mul(Div(centred, std), expand(gamma, x)), expand(beta, x))
}

// IsRunning reports whether a variable is a running statistic. Such variables are not
// trained by gradients, but copies of a network need them.
func IsRunning(v *model.Variable) bool {
	return v.Name() == meanName || v.Name() == varianceName || v.Name() == stepsName
}

// expand inserts leading axes of size one, so that v [F] broadcasts with x [..., F].
func expand(v, x *Node) *Node {
	for v.Rank() < x.Rank() {
		v = InsertAxes(v, 0)
	}
	return v
}
