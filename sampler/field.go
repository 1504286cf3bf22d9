package sampler

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// A field is SVGD's velocity at the particles, with the terms that its divergence needs:
//
//	φ_i = (1/n) Σ_j [κ_ij s_j + ∇_{x_j}κ_ij]                       (Liu and Wang 2016, eq. 8)
//
// n counts the living particles, and sums run over them. κ is a function of the squared
// distance; with r = x_i − x_j, ∇_{x_i}κ = 2κ'r and Tr ∇_i∇_jκ = −2Dκ' − 4sκ”. All terms
// are products of [M, M] with [M, D]; no [M, M, D] tensor is built.
type field struct {
	s            State
	kernel       Kernel
	x            *Node // centred particles, [B, M, D]
	metric       *Node // per-dimension kernel: 1/σ_d² up to γ, [B, 1, D]; nil: all ones
	squared      *Node // ‖x_i − x_j‖² in the kernel's metric, [B, M, M]
	gram         *Node // x_i·x_j, [B, M, M]; nil with a metric
	whole        *Node // κ, [B, M, M]
	k, dk, d2k   *Node // κ, κ', κ” with zero columns for dead particles, [B, M, M]
	n, weight    *Node // [B, 1], [B, M]
	phi          *Node // [B, M, D]
	gamma, sigma *Node // [B, 1, 1]; σ as the scale returned it
	z, fused     *Node // z and y of fuse, [B, M, D]; nil if φ is not fused
}

// newField evaluates the kernel at the particles of s.
func newField(at At, kernel Kernel, bandwidth Scale, s State) *field {
	f := &field{s: s, kernel: kernel}
	f.n, f.weight = s.count()
	f.x = centred(s.X)
	f.squared, f.gram = distances(f.x)
	f.sigma = bandwidth.Value(at, Particles{X: s.X, Squared: f.squared, Count: f.n, Weight: f.weight})
	f.gamma = Inverse(AddScalar(MulScalar(Square(f.sigma), 2), 1e-8))
	if f.sigma.Shape().Dimensions[2] > 1 {
		// κ = κ(Σ_d γ_d r_d²): the metric holds γ_d, and γ becomes one.
		f.metric, f.gram = f.gamma, nil
		f.squared, _ = distances(Mul(f.x, Sqrt(f.metric)))
		f.gamma = OnesLike(ReduceAndKeep(f.sigma, ReduceMax, 2))
	}
	f.k, f.dk, f.d2k = kernel.Radial(f.squared, f.gamma)
	f.whole = f.k
	if s.Alive != nil {
		columns := InsertAxes(f.weight, 1) // [B, 1, M]
		f.k, f.dk, f.d2k = Mul(f.k, columns), Mul(f.dk, columns), Mul(f.d2k, columns)
	}
	var sum *Node
	if f.fusible() {
		sum = f.fuse()
	} else {
		sum = Einsum("bij,bjd->bid", f.k, s.Score)
		repulse := Sub(Mul(rowSum(f.dk), f.x), Einsum("bij,bjd->bid", f.dk, f.x)) // Σ κ'r
		sum = Sub(sum, MulScalar(f.scaled(repulse), 2))
	}
	f.phi = Div(sum, InsertAxes(f.n, -1))
	return f
}

// fusible reports whether φ takes one product instead of two. That needs an RBF kernel
// (κ' = −γκ) and enough dimensions for products to dominate the cost of a step.
func (f *field) fusible() bool {
	_, rbf := f.kernel.(RBF)
	return rbf && f.metric == nil && f.x.Shape().Dimensions[2] > smallD
}

// fuse computes n·φ by one product with z_j = s_j − 2γx_j. With K° the kernel without its
// diagonal and y = K°z,
//
//	n·φ_i = y_i + 2γ(Σ_j K°_ij) x_i + κ(0) s_i
//
// The diagonal is added separately: with a narrow kernel, s would be lost in the rounding
// of 2γx.
func (f *field) fuse() *Node {
	off := Mul(f.k, offDiagonal(f.x))
	twice := MulScalar(f.gamma, 2)
	f.z = Sub(f.s.Score, Mul(twice, f.x))
	f.fused = Einsum("bij,bjd->bid", off, f.z)
	own := f.s.Score
	if f.s.Alive != nil {
		own = Mul(own, InsertAxes(f.weight, -1))
	}
	return Add(Add(f.fused, Mul(Mul(twice, rowSum(off)), f.x)), own)
}

// rowSum is Σ_j, [B, M, M] -> [B, M, 1].
func rowSum(x *Node) *Node { return ReduceAndKeep(x, ReduceSum, 2) }

// scaled applies the metric of a per-dimension kernel to [.., D].
func (f *field) scaled(r *Node) *Node {
	if f.metric == nil {
		return r
	}
	return Mul(r, f.metric)
}

// living is x [B, M] with zeros for dead particles.
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

// kernelTrace is Σ_j [s_j·∇_{x_i}κ_ij + Tr ∇_i∇_jκ_ij] over the living j, [B, M]. The
// term j = i is included only if self is set: it is absent from the divergence of the map
// that moves x_i and holds the others.
func (f *field) kernelTrace(self bool) *Node {
	curve := Neg(MulScalar(f.metricTrace(f.dk), 2))
	curve = Sub(curve, MulScalar(Mul(f.metricSquared(), f.d2k), 4))
	if !self {
		curve = Mul(curve, offDiagonal(f.x))
	}
	if f.fused != nil {
		return Add(f.fusedDrift(), ReduceSum(curve, 2))
	}
	sx := Einsum("bjd,bid->bij", f.s.Score, f.scaled(f.x)) // s_j·x_i, [B, i, j]
	own := ReduceAndKeep(Mul(f.s.Score, f.scaled(f.x)), ReduceSum, -1)
	sr := Sub(sx, TransposeAllAxes(own, 0, 2, 1)) // s_j·r_ij, zero for j = i
	if !self {
		sr = Mul(sr, offDiagonal(f.x)) // remove rounding errors from that zero
	}
	return ReduceSum(Add(MulScalar(Mul(f.dk, sr), 2), curve), 2)
}

// fusedDrift is Σ_j s_j·∇_{x_i}κ_ij of a fused field, [B, M], without another product:
// Σ_j κ_ij s_j·x_i = x_i·y_i + 2γ Σ_j κ_ij x_j·x_i.
func (f *field) fusedDrift() *Node {
	off := Mul(f.k, offDiagonal(f.x))
	twice := MulScalar(f.gamma, 2)
	toX := Add(ReduceSum(Mul(f.x, f.fused), -1), ReduceSum(Mul(Mul(twice, off), f.gram), 2))
	own := InsertAxes(ReduceSum(Mul(f.s.Score, f.x), -1), 1) // s_j·x_j, [B, 1, M]
	toOwn := ReduceSum(Mul(off, own), 2)
	return Neg(Mul(Squeeze(twice, -1), Sub(toX, toOwn)))
}

// metricSquared is Σ_d metric_d² r_d², which equals s without a metric.
func (f *field) metricSquared() *Node {
	if f.metric == nil {
		return f.squared
	}
	squared, _ := distances(Mul(f.x, f.metric))
	return squared
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
