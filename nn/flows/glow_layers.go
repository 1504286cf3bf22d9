package flows

import (
	"math"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"
)

// A pass applies the layers, forward or inverse. With fit set, a forward pass also
// initialises the actnorms.
type pass struct{ fit bool }

// step is one step of flow; it keeps the shape [B, H, W, C] and returns the
// log-determinant, [B].
func (p pass) step(scope *model.Scope, x *Node, mix mixing, hidden int) (y, logDet *Node) {
	area := float64(x.Shape().Dim(1) * x.Shape().Dim(2))
	bias, logScale := p.actnorm(scope.At("actnorm"), x)
	x = Mul(Add(x, bias), Exp(logScale))
	logDet = MulScalar(ReduceAllSum(logScale), area)

	weight, logMix := mix.weight(scope.At("mixing"), x)
	x = Dot(x, weight).General([]int{3}, nil, []int{0}, nil)
	logDet = Add(logDet, MulScalar(logMix, area))

	left, right := halves(x)
	shift, logSlope := p.coupling(scope.At("coupling"), left, hidden)
	right = Mul(Add(right, shift), Exp(logSlope))
	return Concatenate([]*Node{left, right}, -1), Add(ReduceSum(logSlope, 1, 2, 3), logDet)
}

// stepBack is the inverse of step; it returns the log-determinant of the inverse.
func (p pass) stepBack(scope *model.Scope, y *Node, mix mixing, hidden int) (x, logDet *Node) {
	area := float64(y.Shape().Dim(1) * y.Shape().Dim(2))
	left, right := halves(y)
	shift, logSlope := p.coupling(scope.At("coupling"), left, hidden)
	right = Sub(Mul(right, Exp(Neg(logSlope))), shift)
	logDet = Neg(ReduceSum(logSlope, 1, 2, 3))

	inverse, logMix := mix.inverse(scope.At("mixing"), y)
	x = Dot(Concatenate([]*Node{left, right}, -1), inverse).General([]int{3}, nil, []int{0}, nil)
	logDet = Sub(logDet, MulScalar(logMix, area))

	bias, logScale := p.actnorm(scope.At("actnorm"), x)
	x = Sub(Mul(x, Exp(Neg(logScale))), bias)
	return x, Sub(logDet, MulScalar(ReduceAllSum(logScale), area))
}

// actnorm is y = (x + bias)·exp(logScale), each [1, 1, 1, C] (section 3.1). With fit set,
// it first computes both from x and stores them.
func (p pass) actnorm(scope *model.Scope, x *Node) (bias, logScale *Node) {
	c := x.Shape().Dim(3)
	zero := scope.WithInitializer(initializer.Zero)
	b, s := zero.VariableWithShape("bias", shapes.Make(x.DType(), c)), zero.VariableWithShape("log_scale", shapes.Make(x.DType(), c))
	if p.fit {
		mean := ReduceMean(x, 0, 1, 2) // [C]
		variance := ReduceMean(Square(Sub(x, ExpandLeftToRank(mean, 4))), 0, 1, 2)
		b.SetNodeValue(Neg(mean))
		s.SetNodeValue(MulScalar(Log(AddScalar(variance, 1e-6)), -0.5))
	}
	g := x.Graph()
	return ExpandLeftToRank(b.NodeValue(g), 4), ExpandLeftToRank(s.NodeValue(g), 4)
}

// coupling is the network of an affine coupling: it computes the shift and the log-slope
// of the other half, each of the shape of x. The slope is ¼ + ¾·sigmoid(· + 2). It starts
// at 0.91 and never exceeds 1, so shifts cannot accumulate to ever larger values. The
// paper's code uses sigmoid(· + 2), which can get arbitrarily close to zero; its inverse
// then amplifies rounding errors without bound.
func (p pass) coupling(scope *model.Scope, x *Node, hidden int) (shift, logSlope *Node) {
	const least = 0.25
	c := x.Shape().Dim(3)
	h := p.convolved(scope.At("first"), x, 3, hidden)
	h = p.convolved(scope.At("second"), h, 1, hidden)
	shift = zeroConv(scope.At("shift"), h, c)
	slope := Sigmoid(AddScalar(zeroConv(scope.At("slope"), h, c), 2))
	return shift, Log(AddScalar(MulScalar(slope, 1-least), least))
}

// bounded is x near zero and limited to ±2. It keeps the logarithm of a scale small in
// both directions.
func bounded(x *Node) *Node {
	const limit = 2
	return MulScalar(Tanh(MulScalar(x, 1./limit)), limit)
}

// convolved is a side×side convolution, actnorm and ReLU.
func (p pass) convolved(scope *model.Scope, x *Node, side, out int) *Node {
	h := convolve(x, kernel(scope, x, side, out, 0.05))
	bias, logScale := p.actnorm(scope.At("actnorm"), h)
	return MaxScalar(Mul(Add(h, bias), Exp(logScale)), 0)
}

// prior predicts the mean and log standard deviation of the removed half from x, the
// remaining half; each has the shape of x (section 3.6 of Dinh et al. 2017).
func (p pass) prior(scope *model.Scope, x *Node) (mean, logStd *Node) {
	c := x.Shape().Dim(3)
	return zeroConv(scope.At("mean"), x, c), bounded(zeroConv(scope.At("log_std"), x, c))
}

// zeroConv is a 3×3 convolution that starts at zero, so that a new flow is close to the
// identity. Its outputs are scaled by exp(3·s) with s learned, as in the paper's code: an
// optimiser moves weights away from zero too slowly otherwise.
func zeroConv(scope *model.Scope, x *Node, out int) *Node {
	zero := scope.WithInitializer(initializer.Zero)
	vector := shapes.Make(x.DType(), out)
	bias := zero.VariableWithShape("bias", vector).NodeValue(x.Graph())
	scale := zero.VariableWithShape("log_scale", vector).NodeValue(x.Graph())
	y := Add(convolve(x, kernel(scope, x, 3, out, 0)), ExpandLeftToRank(bias, 4))
	return Mul(y, ExpandLeftToRank(Exp(MulScalar(scale, 3)), 4))
}

// kernel is [side, side, C, out], initialised from N(0, std²).
func kernel(scope *model.Scope, x *Node, side, out int, std float64) *Node {
	init := initializer.VariableInitializer(initializer.Zero)
	if std > 0 {
		init = initializer.RandomNormalFn(scope, std)
	}
	shape := shapes.Make(x.DType(), side, side, x.Shape().Dim(3), out)
	return scope.WithInitializer(init).VariableWithShape("kernel", shape).NodeValue(x.Graph())
}

func convolve(x, kernel *Node) *Node {
	if kernel.Shape().Dim(0) == 1 { // a matrix product is faster
		w := Reshape(kernel, kernel.Shape().Dim(2), kernel.Shape().Dim(3))
		return Dot(x, w).General([]int{3}, nil, []int{0}, nil)
	}
	return Convolve(x, kernel).PadSame().Done()
}

// squeeze moves 2×2 squares into channels, [B, H, W, C] -> [B, H/2, W/2, 4C].
func squeeze(x *Node) *Node {
	d := x.Shape().Dimensions
	x = Reshape(x, d[0], d[1]/2, 2, d[2]/2, 2, d[3])
	return Reshape(TransposeAllAxes(x, 0, 1, 3, 2, 4, 5), d[0], d[1]/2, d[2]/2, 4*d[3])
}

// unsqueeze is the inverse of squeeze.
func unsqueeze(x *Node) *Node {
	d := x.Shape().Dimensions
	x = Reshape(x, d[0], d[1], d[2], 2, 2, d[3]/4)
	return Reshape(TransposeAllAxes(x, 0, 1, 3, 2, 4, 5), d[0], 2*d[1], 2*d[2], d[3]/4)
}

// halves splits the channels in two.
func halves(x *Node) (left, right *Node) {
	c := x.Shape().Dim(3)
	cut := func(from, to int) *Node { return Slice(x, AxisRange(), AxisRange(), AxisRange(), AxisRange(from, to)) }
	return cut(0, c/2), cut(c/2, c)
}

// rows is the shape of one number per row of x, [B].
func (Glow) rows(x *Node) shapes.Shape { return shapes.Make(x.DType(), x.Shape().Dim(0)) }

// logNormal is the log-density of standard normal z, [B, D] -> [B].
func logNormal(z *Node) *Node {
	d := float64(z.Shape().Dim(1))
	return AddScalar(MulScalar(ReduceSum(Square(z), -1), -0.5), -0.5*d*math.Log(2*math.Pi))
}
