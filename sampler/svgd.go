package sampler

import (
	"math"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// A Sampler is one transition of M particles. Run applies several.
type Sampler interface {
	// Step moves the particles of s. s.LogP and s.Score must be those of s.X.
	Step(at At, t Target, s State) (State, Info)
	// Probes draws the probes whose Hessian-vector products Step needs.
	Probes(at At, x *Node) []*Node
}

// Density is the way log q is computed through a step.
type Density int

// The forms of a density.
const (
	// FirstOrder subtracts ε·T, where T is the divergence of the field: log det(I+εJ) to
	// first order.
	FirstOrder Density = iota
	// ExactLogDet subtracts log|det(I + εJ)|, with the full Hessian; for small D.
	ExactLogDet
	// NoDensity computes none.
	NoDensity
)

// Divergence is the form of T.
type Divergence struct {
	// HessianTrace adds Tr ∇²log p̄ to the kernel part (MET-SVGD). Without it T is the
	// exact divergence of the leave-one-out field, over n − 1 (P-SVGD).
	HessianTrace bool
	// SelfTerm counts j = i in the kernel part, as the reference implementation does
	// by default: T is then 2γD/M too large, and the entropy overstated.
	SelfTerm bool
	Probes   int  // V of Hutchinson's estimator; 0: 1
	Normal   bool // probes are normal and not Rademacher
	Exact    bool // the D unit vectors as probes: no noise, D times the cost
}

// SVGD moves particles along φ, with a density (see field, Divergence, Bound).
type SVGD struct {
	Kernel    Kernel
	Bandwidth Scale
	StepSize  Scale
	Bound     Bound
	Density   Density
	Trace     Divergence
	Control   Control // nil: none
	// Detach treats the score and its derivative as constants in differentiation:
	// gradients reach scales and starts only through the moves, and no third derivative
	// is computed.
	Detach bool
}

var _ Sampler = SVGD{}

// Probes draws the probes of Hutchinson's estimator.
func (v SVGD) Probes(at At, x *Node) []*Node {
	d := x.Shape().Dimensions[2]
	if v.Density == NoDensity {
		return nil
	}
	if v.Density == ExactLogDet || (v.Trace.HessianTrace && v.Trace.Exact) {
		return unitVectors(x, d)
	}
	if !v.Trace.HessianTrace && !v.Bound.Probe {
		return nil
	}
	var probes []*Node
	count := max(1, v.Trace.Probes)
	for i := range count {
		draw := at.Noise.Sign
		if v.Trace.Normal {
			draw = at.Noise.Normal
		}
		probes = append(probes, draw(ForProbe, at.Step*count+i, x.Shape()))
	}
	return probes
}

// unitVectors are √D·e_d, each as [B, M, D]: the mean of vᵀHv over them is Tr H.
func unitVectors(x *Node, d int) []*Node {
	var vs []*Node
	eye := ConvertDType(Diagonal(x.Graph(), d), x.DType())
	for i := range d {
		row := MulScalar(Reshape(Slice(eye, AxisElem(i)), 1, 1, d), math.Sqrt(float64(d)))
		vs = append(vs, BroadcastToShape(row, x.Shape()))
	}
	return vs
}

// Step is one SVGD step.
func (v SVGD) Step(at At, t Target, s State) (State, Info) {
	moving := s
	if v.Detach {
		moving.Score, moving.HessV = StopGradient(s.Score), nil
		for _, hv := range s.HessV {
			moving.HessV = append(moving.HessV, StopGradient(hv))
		}
	}
	f := newField(at, v.Kernel, v.Bandwidth, moving)
	info := Info{
		Bandwidth: perSystem(f.sigma, s.X), Phi: f.phi, Particles: Squeeze(f.n, -1),
		Gram: f.whole, ScoreNorm: meanAlive(f, Sqrt(ReduceSum(Square(s.Score), -1))),
	}
	var trace *Node
	if v.Density != NoDensity {
		trace = v.trace(f, &info)
		info.Trace = trace
	}
	asked := v.StepSize.Value(at, Particles{X: s.X, Squared: f.squared, Count: f.n, Weight: f.weight})
	info.StepSize = perSystem(asked, s.X)
	info.Used = info.StepSize
	if v.Bound.Kind != Unbounded {
		jacobianSq := f.jacobianSquared
		if v.Bound.Probe {
			jacobianSq = f.jacobianProbe
		}
		info.JacobianSq = StopGradient(jacobianSq(v.Trace.SelfTerm || !v.Trace.HessianTrace, v.Trace.HessianTrace))
		info.Bound = v.Bound.upper(trace, info.JacobianSq, s.X.Shape().Dimensions[2])
		info.Used = v.Bound.clamp(info.StepSize, info.Bound)
		info.Bites = ConvertDType(GreaterOrEqual(info.StepSize, info.Bound), s.X.DType())
	}
	epsilon := InsertAxes(info.Used, -1) // [B, 1]

	m := Move{From: s, Epsilon: epsilon, Field: v.fieldOf(moving, f)}
	m.X = Add(s.X, Mul(InsertAxes(epsilon, -1), f.phi))
	if s.LogQ != nil && trace != nil {
		m.LogDet = Mul(epsilon, trace)
		if v.Density == ExactLogDet {
			m.LogDet, info.MinDet = v.logDet(f, epsilon)
		}
		info.LogDet = m.LogDet
	}
	if trace != nil {
		// n is the number alive after the step; s, φ and T are from before it.
		info.Stein = ReduceSum(Add(ReduceSum(Mul(s.Score, f.phi), -1), trace), -1)
	}
	control := v.Control
	if control == nil {
		control = None{}
	}
	next, verdict := control.Resolve(at, t, m)
	info.Proposal, info.LogAccept, info.Accepted, info.Moved = m.X, verdict.LogAccept, verdict.Accepted, verdict.Moved
	if info.Stein != nil {
		n, _ := next.count()
		info.Stein = Sqrt(MaxScalar(Abs(Div(info.Stein, Squeeze(n, -1))), 1e-30))
	}
	return next, info
}

// trace is T, [B, M].
func (v SVGD) trace(f *field, info *Info) *Node {
	if !v.Trace.HessianTrace {
		// The sum omits j = i, so a living i has n − 1 terms and a dead one n.
		return Div(f.kernelTrace(false), AddScalar(f.n, -1))
	}
	info.HessianTrace = f.hessianTrace()
	return Div(Add(f.kernelTrace(v.Trace.SelfTerm), f.living(info.HessianTrace)), f.n)
}

// perSystem turns a scale [1 or B, 1, 1 or D] into [B], the mean over dimensions.
func perSystem(scale, x *Node) *Node {
	return BroadcastToShape(ReduceMean(scale, 1, 2), systems(x))
}

// meanAlive is the mean over the living particles, [B, M] -> [B].
func meanAlive(f *field, x *Node) *Node {
	return Div(ReduceSum(Mul(x, f.weight), -1), Squeeze(f.n, -1))
}

// fieldOf returns φ as a function of each particle's position y, with the other particles
// of s held, for the inverse step. The particle's own term uses the score at y and
// distance zero.
func (v SVGD) fieldOf(s State, f *field) func(t Target, y *Node) *Node {
	stretch := func(x *Node) *Node {
		if f.metric == nil {
			return x
		}
		return Mul(x, Sqrt(f.metric))
	}
	others := Mul(offDiagonal(s.X), InsertAxes(f.weight, 1)) // [B, M, M]
	x := stretch(f.x)
	xx := InsertAxes(ReduceSum(Square(x), -1), 1) // [B, 1, M]
	none := ZerosLike(ReduceAndKeep(xx, ReduceSum, 2))
	itself, _, _ := v.Kernel.Radial(none, f.gamma) // κ(0), [B, 1, 1]
	own := Mul(itself, InsertAxes(f.weight, -1))   // [B, M, 1]
	return func(t Target, y *Node) *Node {
		_, score := t.Score(y)
		away := Sub(y, centre(s.X))
		wide := stretch(away)
		squared := Sub(Add(ReduceAndKeep(Square(wide), ReduceSum, -1), xx), MulScalar(Einsum("bid,bjd->bij", wide, x), 2))
		k, dk, _ := v.Kernel.Radial(MaxScalar(squared, 0), f.gamma)
		k, dk = Mul(k, others), Mul(dk, others)
		drift := Add(Einsum("bij,bjd->bid", k, s.Score), Mul(own, score))
		repulse := f.scaled(Sub(Mul(rowSum(dk), away), Einsum("bij,bjd->bid", dk, f.x)))
		return Div(Sub(drift, MulScalar(repulse, 2)), InsertAxes(f.n, -1))
	}
}

// particleShape is [B, M] in the type of x.
func particleShape(x *Node) shapes.Shape {
	dims := x.Shape().Dimensions
	return shapes.Make(x.DType(), dims[0], dims[1])
}
