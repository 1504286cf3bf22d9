package policies

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph"
)

// Squash turns draws u of an unbounded density into actions a = tanh(u) and their
// log-density logQ into log π(a) = log q(u) − Σ_d log(1 − tanh²(u_d)). u is [B, M, A],
// logQ [B, M].
func Squash(u, logQ *Node) (action, logProb *Node) {
	return Tanh(u), Sub(logQ, LogDetTanh(u))
}

// LogDetTanh is log|det ∂tanh(u)/∂u| = Σ_d log(1 − tanh²(u_d)), [B, M, A] -> [B, M]. It
// uses the form 2(ln 2 − u − softplus(−2u)), which stays exact where tanh(u) rounds to 1.
func LogDetTanh(u *Node) *Node {
	// softplus(−2u) = max(−2u, 0) + log1p(exp(−2|u|)), and max(−2u, 0) + u = |u|.
	each := Add(Abs(u), Log1p(Exp(MulScalar(Abs(u), -2))))
	return MulScalar(ReduceSum(SubScalar(each, math.Ln2), -1), -2)
}
