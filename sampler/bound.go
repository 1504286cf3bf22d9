package sampler

import . "github.com/gomlx/gomlx/core/graph"

// BoundKind selects the step-size bound. The bound keeps x ↦ x + εφ(x) invertible and log
// det(I + εJ) close to its first-order expansion.
type BoundKind int

// The bounds.
const (
	Unbounded BoundKind = iota
	// Spectral is the reference implementation's bound: α / (√(s²(D−1)) + m + 1e-5) with
	// m = |T|/D and s² = |Tr JᵀJ/D − m²|. It bounds the eigenvalues of a symmetric J
	// (Wolkowicz and Styan 1980); for other J it does not guarantee invertibility.
	Spectral
	// Frobenius is α / √(Tr JᵀJ): always sufficient, and up to √D smaller.
	Frobenius
)

// A Bound keeps ε below the smallest bound among the particles of a system. Gradients
// treat it as a constant.
type Bound struct {
	Kind  BoundKind
	Alpha float64 // α; 0: 0.9
	// Leaky replaces an ε above the bound by max(0, bound − 1e-5(ε − bound)), so that the
	// gradient does not vanish. Without it, ε is cut at the bound.
	Leaky bool
	// Probe estimates Tr JᵀJ by ‖Jv‖² with the step's probes, at a cost of M²D per
	// system. Without it, the value is the reference's, exact except for the Hessian, at
	// M²D² for D ≤ 48 and at M²D + M³ above.
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
