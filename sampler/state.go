package sampler

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// At is where a part of a sampler is asked: which step of which run.
type At struct {
	Scope *model.Scope // owner of learned parts; nil where none is learned
	Noise Noise
	Step  int   // l, from 0
	Steps int   // L
	Cond  *Node // [B, C], what networks are conditioned on; nil: nothing
	// Mean and Std of q⁰, [B, 1, D]; nil where it has none. Truncation needs them.
	Mean, Std *Node
	Progress  *Node // share of the training behind us, scalar; nil: 1
	Lot       *Node // one uniform number of the run, scalar; nil: drawn from Noise
}

// A State is what a step hands to the next. Nodes are [B, M, D] or [B, M].
type State struct {
	X    *Node // particles
	LogQ *Node // log-density along the way; nil: the sampler has none
	// LogP and Score are log p̄ and its gradient at X.
	LogP, Score *Node
	// HessV is ∇²log p̄(X)·Probe, [B, M, D], one for each of Probes; nil where no
	// part wants it.
	Probes, HessV []*Node
	Alive         *Node // bool [B, M]; nil: all are
}

// Info is what a step reports, and no later step reads. Nodes are [B] unless said.
type Info struct {
	Bandwidth *Node // σ, mean over dimensions where there is one for each
	StepSize  *Node // ε as asked for
	Bound     *Node // its upper bound; nil: none
	Used      *Node // ε as taken
	Bites     *Node // 1 where the bound cut ε, 0 elsewhere; nil: no bound
	Accepted  *Node // share of the particles that moved
	Stein     *Node // √|mean_i(φ_i·s_i + T_i)|; nil without a density
	ScoreNorm *Node // mean ‖∇log p̄‖
	Particles *Node // number alive at the start of the step
	MinDet    *Node // smallest det(I + εJ); nil unless the density is exact
	LogDet    *Node // first-order or exact log-determinant taken off log q, [B, M]

	Phi, Trace, JacobianSq, HessianTrace *Node // φ [B, M, D]; T, Tr JᵀJ, vᵀHv [B, M]
	Gram, Proposal, LogAccept            *Node // κ [B, M, M]; x̃ [B, M, D]; log α [B, M]
	Moved                                *Node // who moved, bool [B, M]; nil where all did
}

// Evaluate asks the target at x for log p̄ and score and, for each probe, the
// Hessian-vector product. It differentiates at x itself: a gradient by a node that
// was merged out of two states would silently miss what came before the merge.
func Evaluate(t Target, x *Node, probes []*Node) State {
	s := State{X: x, Probes: probes}
	s.LogP, s.Score = t.Score(x)
	for _, v := range probes {
		s.HessV = append(s.HessV, Gradient(ReduceAllSum(Mul(s.Score, v)), x)[0])
	}
	return s
}

// count is the number of particles alive, [B, 1], and weight 1 or 0 each, [B, M].
func (s State) count() (n, weight *Node) {
	dtype := s.X.DType()
	if s.Alive == nil {
		weight = OnesLike(ReduceSum(s.X, -1))
	} else {
		weight = ConvertDType(s.Alive, dtype)
	}
	return ReduceAndKeep(weight, ReduceSum, -1), weight
}
