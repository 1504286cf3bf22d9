package sampler

import . "github.com/gomlx/gomlx/core/graph"

// smallD is the largest dimension in which J_i is built, at M²D² per system. Above it, Tr
// JᵀJ comes from Gram matrices, at M²D + M³.
const smallD = 48

// kernelJacobian is the part of J_i = ∇φ(x_i) without second derivatives of p̄,
//
//	A_i = (1/n) Σ_j [2κ' s_j rᵀ − 2κ' I − 4κ” r rᵀ],
//
// [B, M, D, D], rows along s_j and columns along r. The term j = i is included only if
// self is set. The sums over j are products of [M, M] with [M, D²].
func (f *field) kernelJacobian(self bool) *Node {
	dims := f.x.Shape().Dimensions
	b, m, d := dims[0], dims[1], dims[2]
	dk, d2k := f.dk, f.d2k
	if !self {
		dk, d2k = Mul(dk, offDiagonal(f.x)), Mul(d2k, offDiagonal(f.x))
	}
	x, s := f.x, f.s.Score
	outer := func(a, c *Node) *Node { return Mul(InsertAxes(a, 3), InsertAxes(c, 2)) } // [B, M, D, D]
	pair := func(w, each *Node) *Node {                                                // Σ_j w_ij each_j
		return Reshape(Einsum("bij,bje->bie", w, Reshape(each, b, m, d*d)), b, m, d, d)
	}
	wide := func(row *Node) *Node { return InsertAxes(row, -1) } // [B, M, 1] -> [B, M, 1, 1]

	// Σ κ' s_j rᵀ = (Σ κ' s_j) x_iᵀ − Σ κ' s_j x_jᵀ
	sr := Sub(outer(Einsum("bij,bjd->bid", dk, s), x), pair(dk, outer(s, x)))
	// Σ κ” r rᵀ = c x xᵀ − x qᵀ − q xᵀ + Σ κ” x_j x_jᵀ, c = Σ κ”, q = Σ κ” x_j
	q := Einsum("bij,bjd->bid", d2k, x)
	rr := Mul(wide(ReduceAndKeep(d2k, ReduceSum, 2)), outer(x, x))
	rr = Sub(rr, Add(outer(x, q), outer(q, x)))
	rr = Add(rr, pair(d2k, outer(x, x)))
	eye := Reshape(ConvertDType(Diagonal(x.Graph(), d), x.DType()), 1, 1, d, d)
	flat := Mul(wide(ReduceAndKeep(dk, ReduceSum, 2)), eye)
	if f.metric != nil {
		columns := InsertAxes(f.metric, 1) // [B, 1, 1, D]
		rows := InsertAxes(f.metric, -1)   // [B, 1, D, 1]
		sr, flat = Mul(sr, columns), Mul(flat, columns)
		rr = Mul(Mul(rr, columns), rows)
	}
	sum := Sub(MulScalar(Sub(sr, flat), 2), MulScalar(rr, 4))
	return Div(sum, InsertAxes(f.n, -1, -1))
}

// jacobianSquared is Tr J_iᵀJ_i, [B, M]. With A as above and the probe v it is
//
//	‖A‖² + (2/n) vᵀA(Hv) + ‖Hv‖²/n²
//
// with the trace term, and ‖A‖² without it. Only the bound uses it, which gradients treat
// as a constant.
func (f *field) jacobianSquared(self, hessian bool) *Node {
	var square *Node
	var probeA func(v, h *Node) *Node // vᵀA h
	if f.x.Shape().Dimensions[2] <= smallD {
		a := f.kernelJacobian(self)
		square = ReduceSum(Square(a), -1, -2)
		probeA = func(v, h *Node) *Node {
			return ReduceSum(Mul(v, Einsum("bmde,bme->bmd", a, h)), -1)
		}
	} else {
		g := f.grams(self)
		square, probeA = g.square(), g.between
	}
	if !hessian {
		return square
	}
	var sum *Node
	for i, v := range f.s.Probes {
		h := f.s.HessV[i]
		n := f.n
		one := Add(MulScalar(Div(probeA(v, h), n), 2), Div(ReduceSum(Square(h), -1), Square(n)))
		one = f.living(one)
		if sum == nil {
			sum = one
		} else {
			sum = Add(sum, one)
		}
	}
	return Add(square, MulScalar(sum, 1/float64(len(f.s.Probes))))
}

// A grams represents A_i for large D by inner products. With r' the difference in the
// metric m of a per-dimension kernel (r and 1 without one), A_i = Σ_j [a_ij s_j r'_ijᵀ +
// c_ij r'_ij r'_ijᵀ] + e_i diag(m).
type grams struct {
	f    *field
	x    *Node // m∘x
	a, c *Node // [B, M, M]
	e    *Node // [B, M]
}

func (f *field) grams(self bool) grams {
	dk, d2k := f.dk, f.d2k
	if !self {
		dk, d2k = Mul(dk, offDiagonal(f.x)), Mul(d2k, offDiagonal(f.x))
	}
	n := InsertAxes(f.n, -1) // [B, 1, 1]
	return grams{
		f: f, x: f.scaled(f.x), a: Div(MulScalar(dk, 2), n), c: Div(MulScalar(d2k, -4), n),
		e: Div(MulScalar(ReduceSum(dk, 2), -2), f.n),
	}
}

// metricSquares is Σ_d m_d², [B or 1, 1].
func (f *field) metricSquares() *Node {
	if f.metric == nil {
		return Reshape(Scalar(f.x.Graph(), f.x.DType(), float64(f.x.Shape().Dimensions[2])), 1, 1)
	}
	return ReduceSum(Square(f.metric), 2)
}

// square is ‖A_i‖², [B, M], at M³ per system.
func (g grams) square() *Node {
	x, s := g.x, g.f.s.Score
	xx := Einsum("bid,bjd->bij", x, x)
	sx := Einsum("bjd,bid->bji", s, x) // s_j·x_i
	ss := Einsum("bjd,bkd->bjk", s, s)
	own := ReduceSum(Mul(x, x), -1) // [B, M]

	// rr[i,j,k] = r_ij·r_ik, sr[i,j,k] = s_j·r_ik
	rr := Sub(InsertAxes(own, -1, -1), Add(InsertAxes(xx, 2), InsertAxes(xx, 3)))
	rr = Add(rr, InsertAxes(xx, 1))
	at := TransposeAllAxes(sx, 0, 2, 1)             // [B, i, j]
	sr := Sub(InsertAxes(at, 3), InsertAxes(sx, 1)) // s_j·x_i − s_j·x_k
	diag := func(t *Node) *Node {                   // t[i, j, j] -> [B, i, j]
		eye := ConvertDType(Diagonal(t.Graph(), t.Shape().Dimensions[2]), t.DType())
		return ReduceSum(Mul(t, InsertAxes(eye, 0, 0)), 3)
	}
	quad := func(l, t, r *Node) *Node { // Σ_jk l_ij t_ijk r_ik
		return ReduceSum(Mul(l, ReduceSum(Mul(t, InsertAxes(r, 2)), 3)), 2)
	}
	sum := quad(g.a, Mul(InsertAxes(ss, 1), rr), g.a)
	sum = Add(sum, MulScalar(quad(g.a, Mul(sr, rr), g.c), 2)) // (s_j r_ijᵀ):(r_ik r_ikᵀ) = (s_j·r_ik)(r_ij·r_ik)
	sum = Add(sum, quad(g.c, Square(rr), g.c))
	ofS, ofR := diag(sr), diag(rr) // s_j·(m∘r'_ij), r'_ij·(m∘r'_ij)
	if g.f.metric != nil {
		again := g.f.scaled(x)
		own := InsertAxes(ReduceSum(Mul(s, again), -1), 1) // [B, 1, M]
		ofS = Sub(Einsum("bid,bjd->bij", again, s), own)
		ofR, _ = distances(Mul(x, Sqrt(g.f.metric)))
	}
	linear := Add(ReduceSum(Mul(g.a, ofS), 2), ReduceSum(Mul(g.c, ofR), 2))
	sum = Add(sum, MulScalar(Mul(g.e, linear), 2))
	return Add(sum, Mul(Square(g.e), g.f.metricSquares()))
}

// between is vᵀA_i h, [B, M].
func (g grams) between(v, h *Node) *Node {
	x, s := g.x, g.f.s.Score
	dot := func(p, q *Node) *Node { return ReduceAndKeep(Mul(p, q), ReduceSum, -1) } // [B, M, 1]
	vs := Einsum("bid,bjd->bij", v, s)
	vr := Sub(dot(v, x), Einsum("bid,bjd->bij", v, x))
	hr := Sub(dot(h, x), Einsum("bid,bjd->bij", h, x))
	sum := Add(Mul(g.a, Mul(vs, hr)), Mul(g.c, Mul(vr, hr)))
	return Add(ReduceSum(sum, 2), Mul(g.e, Squeeze(dot(v, g.f.scaled(h)), -1)))
}

// jacobianProbe estimates Tr J_iᵀJ_i by the mean of ‖J_i v‖² over the probes, [B, M], at
// M²D per system without an M³ term.
func (f *field) jacobianProbe(self, hessian bool) *Node {
	dk, d2k := f.dk, f.d2k
	if !self {
		dk, d2k = Mul(dk, offDiagonal(f.x)), Mul(d2k, offDiagonal(f.x))
	}
	var sum *Node
	for i, v := range f.s.Probes {
		wide := f.scaled(v)
		along := ReduceAndKeep(Mul(wide, f.x), ReduceSum, -1) // v_i·x_i, [B, M, 1]
		along = Sub(along, Einsum("bid,bjd->bij", wide, f.x)) // v_i·r_ij
		drift := MulScalar(Mul(dk, along), 2)
		var jv *Node
		if f.fused != nil { // −4κ” = 2γ·2κ': z serves both sums
			jv = Add(Einsum("bij,bjd->bid", drift, f.z), Mul(Mul(MulScalar(f.gamma, 2), rowSum(drift)), f.x))
		} else {
			curve := MulScalar(Mul(d2k, along), -4)
			turn := Sub(Mul(rowSum(curve), f.x), Einsum("bij,bjd->bid", curve, f.x))
			jv = Add(Einsum("bij,bjd->bid", drift, f.s.Score), f.scaled(turn))
		}
		jv = Sub(jv, Mul(MulScalar(rowSum(dk), 2), wide))
		if hessian {
			jv = Add(jv, Mul(InsertAxes(f.weight, -1), f.s.HessV[i]))
		}
		one := Div(ReduceSum(Square(jv), -1), Square(f.n))
		if sum == nil {
			sum = one
		} else {
			sum = Add(sum, one)
		}
	}
	return MulScalar(sum, 1/float64(len(f.s.Probes)))
}
