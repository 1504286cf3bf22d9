package sampler

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// A Move is a proposed step.
type Move struct {
	From    State
	X       *Node // x̃, [B, M, D]
	Epsilon *Node // [B, 1]
	LogDet  *Node // log q decreases by this if the move is made, [B, M]
	// Field is φ at y [B, M, D]: each y_i is evaluated against the other particles as
	// they are.
	Field func(t Target, y *Node) *Node
}

// A Verdict reports what a control decided.
type Verdict struct {
	Accepted  *Node // share of particles that moved, [B]
	LogAccept *Node // log α, [B, M]; nil without an accept test
	Moved     *Node // which particles moved, bool [B, M]; nil: all
}

// A Control decides what follows a move. The State it returns holds X, LogQ and Alive;
// Run evaluates the target there.
type Control interface {
	Resolve(at At, t Target, m Move) (State, Verdict)
}

// None makes every move.
type None struct{}

// Resolve accepts the move.
func (None) Resolve(_ At, _ Target, m Move) (State, Verdict) {
	s := State{X: m.X, Alive: m.From.Alive}
	if m.LogDet != nil {
		s.LogQ = Sub(m.From.LogQ, m.LogDet)
	}
	return s, Verdict{Accepted: Ones(m.X.Graph(), systems(m.X))}
}

// Truncation accepts every move. A particle dies for good when one of its coordinates is
// more than Width (zero: 3) standard deviations of q⁰ from the mean of q⁰. Dead particles
// still move and carry a density, but living ones no longer feel them.
type Truncation struct{ Width float64 }

// Resolve moves all particles and marks the dead.
func (c Truncation) Resolve(at At, t Target, m Move) (State, Verdict) {
	s, v := None{}.Resolve(at, t, m)
	width := c.Width
	if width == 0 {
		width = 3
	}
	out := GreaterThan(Abs(Sub(s.X, at.Mean)), MulScalar(at.Std, width)) // [B, M, D]
	inside := LogicalNot(LogicalAny(out, -1))
	if m.From.Alive != nil {
		inside = LogicalAnd(inside, m.From.Alive)
	}
	s.Alive = inside
	return s, v
}

// MetropolisHastings accepts a move with probability α_i = min(1, p̄(x̃)/p̄(x)·e^{rεT}).
type MetropolisHastings struct {
	// Rademacher draws r = ±1 with equal probability. r = −1 proposes the inverse map,
	// found by Iterations (zero: 20) of y ← x − εφ(y); this form leaves p̄ invariant.
	// Without it, r = 1 as in the reference implementation.
	Rademacher bool
	Iterations int
}

// Resolve tests each particle. Gradients flow through α but not through the accept
// decisions.
func (c MetropolisHastings) Resolve(at At, t Target, m Move) (State, Verdict) {
	x, shape := m.From.X, particleShape(m.From.X)
	logDet := m.LogDet
	proposal, direction := m.X, (*Node)(nil)
	if c.Rademacher {
		y := x
		for range max(c.Iterations, 20*boolInt(c.Iterations == 0)) {
			y = Sub(x, Mul(InsertAxes(m.Epsilon, -1), m.Field(t, y)))
		}
		direction = at.Noise.Sign(ForDirection, at.Step, shape)
		forward := GreaterThan(direction, ZerosLike(direction))
		proposal = Where(BroadcastToShape(InsertAxes(forward, -1), x.Shape()), proposal, y)
	}
	logP, _ := t.Score(proposal)
	shift := logDet
	if direction != nil {
		shift = Mul(direction, logDet)
	}
	raw := Add(Sub(logP, m.From.LogP), shift)
	// Reject proposals whose density is zero or not finite.
	sound := LogicalAnd(IsFinite(raw), IsFinite(logP))
	logAlpha := Where(sound, MinScalar(raw, 0), MulScalar(OnesLike(raw), -1e30))
	alpha := Exp(logAlpha)
	u := at.Noise.Uniform(ForAccept, at.Step, shape)
	accept := LogicalAnd(sound, GreaterOrEqual(StopGradient(alpha), u))
	s := State{X: Where(BroadcastToShape(InsertAxes(accept, -1), x.Shape()), proposal, x), Alive: m.From.Alive}
	if m.From.LogQ != nil {
		stay := Log(MaxScalar(OneMinus(alpha), 1e-8))
		s.LogQ = Add(m.From.LogQ, c.logMix(logAlpha, logDet, stay))
	}
	share := ReduceMean(ConvertDType(accept, x.DType()), -1)
	return s, Verdict{Accepted: share, LogAccept: logAlpha, Moved: accept}
}

// logMix is the log of α|det|^{−1} + (1 − α), or of the mean of that and α|det| + (1 −
// α).
func (c MetropolisHastings) logMix(logAlpha, logDet, stay *Node) *Node {
	forward := logAddExp(Sub(logAlpha, logDet), stay)
	if !c.Rademacher {
		return forward
	}
	back := logAddExp(Add(logAlpha, logDet), stay)
	return AddScalar(logAddExp(forward, back), -0.6931471805599453)
}

// logAddExp is log(e^a + e^b) for finite a and b.
func logAddExp(a, b *Node) *Node {
	return Add(Max(a, b), Log1P(Exp(Neg(Abs(Sub(a, b))))))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

var (
	_ Control = None{}
	_ Control = Truncation{}
	_ Control = MetropolisHastings{}
)
