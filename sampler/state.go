package sampler

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// At is the context in which a part of a sampler is evaluated: a step of a run.
type At struct {
	Scope *model.Scope // scope of the learned variables; nil if there are none
	Noise Noise
	Step  int   // l, from 0
	Steps int   // L
	Cond  *Node // [B, C], input of the scale networks; nil: none
	// Mean and Std of q⁰, [B, 1, D]; nil if q⁰ has none. Truncation needs them.
	Mean, Std *Node
	Progress  *Node // fraction of training completed, scalar; nil: 1
	Lot       *Node // one uniform number of the run, scalar; nil: drawn from Noise
}

// A State is passed from step to step. Nodes are [B, M, D] or [B, M].
type State struct {
	X    *Node // particles
	LogQ *Node // log-density of X; nil if the sampler has no density
	// LogP and Score are log p̄ and its gradient at X.
	LogP, Score *Node
	// HessV is ∇²log p̄(X)·Probe, [B, M, D], one per entry of Probes; nil if no part
	// needs it.
	Probes, HessV []*Node
	Alive         *Node // bool [B, M]; nil: all
}

// Info is reported by a step and never read by a later one. Nodes are [B] unless noted.
type Info struct {
	Bandwidth *Node // σ, averaged over dimensions if it is per dimension
	StepSize  *Node // ε before the bound
	Bound     *Node // upper bound of ε; nil: no bound
	Used      *Node // ε after the bound
	Bites     *Node // 1 where the bound cut ε, 0 elsewhere; nil: no bound
	Accepted  *Node // share of the particles that moved
	Stein     *Node // √|mean_i(φ_i·s_i + T_i)|; nil without a density
	ScoreNorm *Node // mean ‖∇log p̄‖
	Particles *Node // number alive at the start of the step
	MinDet    *Node // smallest det(I + εJ); nil unless the density is exact
	LogDet    *Node // log-determinant subtracted from log q, first-order or exact, [B, M]

	Phi, Trace, JacobianSq, HessianTrace *Node // φ [B, M, D]; T, Tr JᵀJ, vᵀHv [B, M]
	Gram, Proposal, LogAccept            *Node // κ [B, M, M]; x̃ [B, M, D]; log α [B, M]
	Moved                                *Node // which particles moved, bool [B, M]; nil: all
}

// Evaluate computes log p̄ and the score at x and a Hessian-vector product per probe. It
// differentiates with respect to x itself: the gradient with respect to a node merged
// from two states would silently omit what precedes the merge.
func Evaluate(t Target, x *Node, probes []*Node) State {
	s := State{X: x, Probes: probes}
	s.LogP, s.Score = t.Score(x)
	for _, v := range probes {
		s.HessV = append(s.HessV, Gradient(ReduceAllSum(Mul(s.Score, v)), x)[0])
	}
	return s
}

// count returns the number of living particles, [B, 1], and their weights, 1 alive and 0
// dead, [B, M].
func (s State) count() (n, weight *Node) {
	dtype := s.X.DType()
	if s.Alive == nil {
		weight = OnesLike(ReduceSum(s.X, -1))
	} else {
		weight = ConvertDType(s.Alive, dtype)
	}
	return ReduceAndKeep(weight, ReduceSum, -1), weight
}
