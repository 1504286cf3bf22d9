package sampler

import . "github.com/gomlx/gomlx/core/graph"

// BoundKind is the form of the step-size bound that keeps x ↦ x + εφ(x) invertible
// and log det(I + εJ) near its first order.
type BoundKind int

// The bounds.
const (
	Unbounded BoundKind = iota
	// Spectral is the reference implementation's: with m = |T|/D and s² = |Tr JᵀJ/D −
	// m²|, α / (√(s²(D−1)) + m + 1e-5). It bounds the eigenvalues of a symmetric J
	// (Wolkowicz and Styan 1980), and so does not promise invertibility otherwise.
	Spectral
	// Frobenius is α / √(Tr JᵀJ): always enough, and up to √D shorter.
	Frobenius
)

// A Bound keeps ε below the smallest bound among the particles of a system. It is
// constant in differentiation.
type Bound struct {
	Kind  BoundKind
	Alpha float64 // α; 0: 0.9
	// Leaky: above the bound ε is bound − 1e-5(ε − bound), never below zero, so that
	// the gradient lives. Else ε is cut.
	Leaky bool
	// Probe estimates Tr JᵀJ by ‖Jv‖² with the step's probes, at M²D a system. Without
	// it, it is the reference's number: exact but for the Hessian, at M²D² up to
	// D = 48 and at M²D + M³ above.
	Probe bool
}

// upper is the bound of each system, [B].
func (b Bound) upper(trace, jacobianSq *Node, d int) *Node {
	alpha := b.Alpha
	if alpha == 0 {
		alpha = 0.9
	}
	var each *Node
	if b.Kind == Frobenius {
		each = AddScalar(Sqrt(MaxScalar(jacobianSq, 0)), 1e-5)
	} else {
		m := MulScalar(Abs(StopGradient(trace)), 1/float64(d))
		s2 := Abs(Sub(MulScalar(jacobianSq, 1/float64(d)), Square(m)))
		each = AddScalar(Add(Sqrt(MulScalar(s2, float64(d-1))), m), 1e-5)
	}
	return StopGradient(ReduceMin(MulScalar(Inverse(each), alpha), -1))
}

// clamp keeps ε [B] below the bound [B].
func (b Bound) clamp(epsilon, bound *Node) *Node {
	over := GreaterOrEqual(epsilon, bound)
	if !b.Leaky {
		return Where(over, bound, epsilon)
	}
	leak := MaxScalar(Sub(bound, MulScalar(Sub(epsilon, bound), 1e-5)), 0)
	return Where(over, leak, epsilon)
}
