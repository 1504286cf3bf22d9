package sampler

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// A field is SVGD's velocity at the particles, with what its divergence needs:
//
//	φ_i = (1/n) Σ_j [κ_ij s_j + ∇_{x_j}κ_ij]                       (Liu and Wang 2016, eq. 8)
//
// n counts the particles alive and sums run over them. With κ a function of the
// squared distance, r = x_i − x_j: ∇_{x_i}κ = 2κ'r and Tr ∇_i∇_jκ = −2Dκ' − 4sκ”.
// Everything is products of [M, M] with [M, D]; no [M, M, D] is made.
type field struct {
	s            State
	x            *Node // particles, centred when the kernel's metric is scaled: [B, M, D]
	metric       *Node // per-dimension kernel: 1/σ_d² up to γ, [B, 1, D]; nil: all one
	squared      *Node // [B, M, M]
	k, dk, d2k   *Node // κ, κ', κ”, columns of the dead zero, [B, M, M]
	gram         *Node // κ of all pairs, to report
	n, weight    *Node // [B, 1], [B, M]
	phi          *Node // [B, M, D]
	gamma, sigma *Node // [B, 1, 1]; σ as the scale gave it
	rowDk        *Node // Σ_j κ'_ij, [B, M, 1]
	dkS          *Node // Σ_j κ'_ij s_j, [B, M, D]
}

// newField evaluates the kernel at the particles of s.
func newField(at At, kernel Kernel, bandwidth Scale, s State) *field {
	f := &field{s: s}
	f.n, f.weight = s.count()
	f.squared = squaredDistances(s.X)
	f.sigma = bandwidth.Value(at, Particles{X: s.X, Squared: f.squared, Count: f.n, Weight: f.weight})
	f.x = Sub(s.X, StopGradient(ReduceAndKeep(s.X, ReduceMean, 1)))
	squared := f.squared
	if f.sigma.Shape().Dimensions[2] > 1 {
		// κ = κ(Σ_d γ_d r_d²): the metric carries γ_d, and γ becomes one.
		f.metric = Inverse(AddScalar(MulScalar(Square(f.sigma), 2), 1e-8))
		squared = squaredDistances(Mul(s.X, Sqrt(f.metric)))
		f.squared = squared
		f.gamma = OnesLike(ReduceAndKeep(f.sigma, ReduceMax, 2))
	} else {
		f.gamma = Inverse(AddScalar(MulScalar(Square(f.sigma), 2), 1e-8))
	}
	f.k, f.dk, f.d2k = kernel.Radial(squared, f.gamma)
	f.gram = f.k
	if s.Alive != nil {
		columns := InsertAxes(f.weight, 1) // [B, 1, M]
		f.k, f.dk, f.d2k = Mul(f.k, columns), Mul(f.dk, columns), Mul(f.d2k, columns)
	}
	f.rowDk = ReduceAndKeep(f.dk, ReduceSum, 2)
	repulse := Sub(Mul(f.rowDk, f.x), Einsum("bij,bjd->bid", f.dk, f.x)) // Σ κ'r
	drift := Einsum("bij,bjd->bid", f.k, s.Score)
	sum := Sub(drift, MulScalar(f.scaled(repulse), 2))
	f.phi = Div(sum, InsertAxes(f.n, -1))
	return f
}

// scaled applies the metric of a per-dimension kernel to [.., D].
func (f *field) scaled(r *Node) *Node {
	if f.metric == nil {
		return r
	}
	return Mul(r, f.metric)
}

// living is x [B, M] with zero for the dead.
func (f *field) living(x *Node) *Node {
	if f.s.Alive == nil {
		return x
	}
	return Where(f.s.Alive, x, ZerosLike(x))
}

// metricTrace is Σ_d metric_d, [B, 1, 1] or a number.
func (f *field) metricTrace(x *Node) *Node {
	if f.metric == nil {
		return MulScalar(x, float64(f.x.Shape().Dimensions[2]))
	}
	return Mul(x, ReduceAndKeep(f.metric, ReduceSum, 2))
}

// kernelTrace is Σ_j [s_j·∇_{x_i}κ_ij + Tr ∇_i∇_jκ_ij] over the living j, [B, M];
// without the term j = i unless self is set. The self term is what the divergence of
// the map that moves x_i with the others held does not have.
func (f *field) kernelTrace(self bool) *Node {
	f.dkS = Einsum("bij,bjd->bid", f.dk, f.s.Score)
	sx := Einsum("bjd,bid->bij", f.s.Score, f.scaled(f.x)) // s_j·x_i, [B, i, j]
	own := ReduceAndKeep(Mul(f.s.Score, f.scaled(f.x)), ReduceSum, -1)
	sr := Sub(sx, TransposeAllAxes(own, 0, 2, 1)) // s_j·r_ij
	curve := Neg(MulScalar(f.metricTrace(f.dk), 2))
	curve = Sub(curve, MulScalar(Mul(f.metricSquared(), f.d2k), 4))
	each := Add(MulScalar(Mul(f.dk, sr), 2), curve)
	if !self {
		each = Mul(each, offDiagonal(f.x))
	}
	return ReduceSum(each, 2)
}

// metricSquared is Σ_d metric_d² r_d², which is s where there is no metric.
func (f *field) metricSquared() *Node {
	if f.metric == nil {
		return f.squared
	}
	return squaredDistances(Mul(f.x, f.metric))
}

// hessianTrace averages vᵀ∇²log p̄ v over the probes, [B, M].
func (f *field) hessianTrace() *Node {
	var sum *Node
	for i, v := range f.s.Probes {
		one := ReduceSum(Mul(v, f.s.HessV[i]), -1)
		if sum == nil {
			sum = one
		} else {
			sum = Add(sum, one)
		}
	}
	return MulScalar(sum, 1/float64(len(f.s.Probes)))
}
