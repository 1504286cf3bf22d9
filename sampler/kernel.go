package sampler

import . "github.com/gomlx/gomlx/core/graph"

// A Kernel is a function κ of the squared distance s = ‖x_i − x_j‖². Drift, repulsion,
// trace and Jacobian need only κ and its first two derivatives in s, so a new kernel is
// one formula.
type Kernel interface {
	// Radial returns κ, κ' and κ” at s [B, M, M] for γ = 1/(2σ² + 1e-8), [B, 1, 1].
	Radial(s, gamma *Node) (k, dk, d2k *Node)
}

// RBF is exp(−γs).
type RBF struct{}

// Radial: κ' = −γκ, κ” = γ²κ.
func (RBF) Radial(s, gamma *Node) (k, dk, d2k *Node) {
	k = Exp(Neg(Mul(s, gamma)))
	dk = Neg(Mul(k, gamma))
	return k, dk, Neg(Mul(dk, gamma))
}

// IMQ is the inverse multiquadric (1 + γs)^(−1/2) (Gorham and Mackey 2017).
type IMQ struct{}

// Radial: κ' = −γ/2·(1+γs)^(−3/2), κ” = 3γ²/4·(1+γs)^(−5/2).
func (IMQ) Radial(s, gamma *Node) (k, dk, d2k *Node) {
	base := OnePlus(Mul(s, gamma))
	k = Inverse(Sqrt(base))
	cube := Div(k, base)
	dk = MulScalar(Mul(cube, gamma), -0.5)
	return k, dk, MulScalar(Mul(Div(cube, base), Square(gamma)), 0.75)
}

var (
	_ Kernel = RBF{}
	_ Kernel = IMQ{}
)

// centred subtracts a point near each system's particles, because products of distant
// particles cancel in rounding. The point is the mean, or in many dimensions, where a
// mean costs a pass over the data, the first particle. Gradients treat it as a constant:
// functions of differences do not depend on it.
func centred(x *Node) *Node {
	return Sub(x, centre(x))
}

func centre(x *Node) *Node {
	if x.Shape().Dimensions[2] > smallD {
		return StopGradient(Slice(x, AxisRange(), AxisElem(0)))
	}
	return StopGradient(ReduceAndKeep(x, ReduceMean, 1))
}

// squaredDistances are ‖x_i − x_j‖², [B, M, M].
func squaredDistances(x *Node) *Node {
	squared, _ := distances(centred(x))
	return squared
}

// distances returns ‖x_i − x_j‖² of centred particles and the products x_i·x_j it is
// computed from, [B, M, M] each. The diagonal is exactly zero, which narrow kernels need.
func distances(x *Node) (squared, gram *Node) {
	gram = Einsum("bid,bjd->bij", x, x)
	var own *Node // x_i·x_i, [B, M]
	if x.Shape().Dimensions[2] > smallD {
		own = ReduceSum(Mul(gram, OneMinus(offDiagonal(x))), 2) // cheaper than a pass over x
	} else {
		own = ReduceSum(Square(x), -1)
	}
	squared = Sub(Add(InsertAxes(own, 2), InsertAxes(own, 1)), MulScalar(gram, 2))
	return Mul(MaxScalar(squared, 0), offDiagonal(x)), gram
}

// offDiagonal is 1 − I, [1, M, M], in the dtype of x [B, M, D].
func offDiagonal(x *Node) *Node {
	m := x.Shape().Dimensions[1]
	eye := ConvertDType(Diagonal(x.Graph(), m), x.DType())
	return InsertAxes(OneMinus(eye), 0)
}
