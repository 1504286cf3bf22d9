package sampler

import . "github.com/gomlx/gomlx/core/graph"

// A Kernel is a function κ of the squared distance s = ‖x_i − x_j‖². Drift,
// repulsion, trace and Jacobian need κ and two derivatives in s alone, so a new
// kernel is one formula.
type Kernel interface {
	// Radial answers κ, κ' and κ” at s [B, M, M] for γ = 1/(2σ² + 1e-8), [B, 1, 1].
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

// squaredDistances are ‖x_i − x_j‖², [B, M, M], through the products x_i·x_j. The
// particles are centred first, since the products of far-away ones cancel; the
// diagonal is zero exactly, which a narrow kernel needs.
func squaredDistances(x *Node) *Node {
	centred := Sub(x, StopGradient(ReduceAndKeep(x, ReduceMean, 1)))
	gram := Einsum("bid,bjd->bij", centred, centred)
	sq := ReduceSum(Square(centred), -1) // [B, M]
	s := Sub(Add(InsertAxes(sq, 2), InsertAxes(sq, 1)), MulScalar(gram, 2))
	return Mul(MaxScalar(s, 0), offDiagonal(x))
}

// offDiagonal is 1 − I, [1, M, M], in the type of x [B, M, D].
func offDiagonal(x *Node) *Node {
	m := x.Shape().Dimensions[1]
	eye := ConvertDType(Diagonal(x.Graph(), m), x.DType())
	return InsertAxes(OneMinus(eye), 0)
}
