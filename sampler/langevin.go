package sampler

import . "github.com/gomlx/gomlx/core/graph"

// ULA is unadjusted Langevin dynamics: x ← x + εs + √(2ε)·ξ (Roberts and Tweedie 1996).
// It has no tractable density.
type ULA struct{ StepSize Scale }

// Probes returns none: ULA needs no Hessian.
func (ULA) Probes(At, *Node) []*Node { return nil }

// Step takes one Langevin step.
func (u ULA) Step(at At, _ Target, s State) (State, Info) {
	x, info, _ := langevinMove(at, u.StepSize, s)
	info.Accepted = Ones(x.Graph(), systems(x))
	return State{X: x, Alive: s.Alive}, info
}

// MALA is ULA with a Metropolis-Hastings test that makes p̄ its stationary distribution.
type MALA struct{ StepSize Scale }

// Probes returns none: MALA needs no Hessian.
func (MALA) Probes(At, *Node) []*Node { return nil }

// Step proposes a Langevin step and accepts or rejects it.
func (m MALA) Step(at At, t Target, s State) (State, Info) {
	x, info, epsilon := langevinMove(at, m.StepSize, s)
	logP, score := t.Score(x)
	// log of the transition density from a to b, up to a constant
	step := func(a, score, b *Node) *Node {
		gap := ReduceSum(Square(Sub(Sub(b, a), Mul(epsilon, score))), -1)
		return Neg(Div(gap, MulScalar(Squeeze(epsilon, -1), 4)))
	}
	raw := Sub(Add(logP, step(x, score, s.X)), Add(s.LogP, step(s.X, s.Score, x)))
	sound := LogicalAnd(IsFinite(raw), IsFinite(logP))
	info.LogAccept = Where(sound, MinScalar(raw, 0), MulScalar(OnesLike(raw), -1e30))
	u := at.Noise.Uniform(ForAccept, at.Step, particleShape(x))
	accept := LogicalAnd(sound, GreaterOrEqual(Exp(info.LogAccept), u))
	info.Proposal, info.Moved = x, accept
	info.Accepted = ReduceMean(ConvertDType(accept, x.DType()), -1)
	x = Where(BroadcastToShape(InsertAxes(accept, -1), x.Shape()), x, s.X)
	return State{X: x, Alive: s.Alive}, info
}

// langevinMove is the Langevin step; it returns ε as [B, 1, 1].
func langevinMove(at At, scale Scale, s State) (x *Node, info Info, epsilon *Node) {
	n, weight := s.count()
	asked := scale.Value(at, Particles{X: s.X, Count: n, Weight: weight})
	info.StepSize = perSystem(asked, s.X)
	info.Used = info.StepSize
	info.ScoreNorm = ReduceMean(Sqrt(ReduceSum(Square(s.Score), -1)), -1)
	epsilon = InsertAxes(info.StepSize, -1, -1)
	noise := at.Noise.Normal(ForDiffusion, at.Step, s.X.Shape())
	x = Add(s.X, Add(Mul(epsilon, s.Score), Mul(Sqrt(MulScalar(epsilon, 2)), noise)))
	return x, info, epsilon
}

var (
	_ Sampler = ULA{}
	_ Sampler = MALA{}
)
