package sampler

import (
	"math"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// A Schedule goes from Start to End over the first Duration of training (a fraction;
// zero: all of it), linearly or geometrically.
type Schedule struct {
	Start, End, Duration float64
	Exponential          bool
}

// At is the value at progress, a scalar in [0, 1].
func (s Schedule) At(progress *Node) *Node {
	duration := s.Duration
	if duration == 0 {
		duration = 1
	}
	way := MinScalar(MulScalar(progress, 1/duration), 1)
	if s.Exponential {
		return MulScalar(Exp(MulScalar(way, math.Log(s.End/s.Start))), s.Start)
	}
	return AddScalar(MulScalar(way, s.End-s.Start), s.Start)
}

// Sometimes applies a control in a fraction of the runs, which changes over training, and
// accepts every move in the others: a low fraction early to explore, a high one late to
// exploit.
type Sometimes struct {
	Of    Control
	Share Schedule
}

// Resolve applies the control if this run's number At.Lot selects it.
func (c Sometimes) Resolve(at At, t Target, m Move) (State, Verdict) {
	on, verdict := c.Of.Resolve(at, t, m)
	off, free := None{}.Resolve(at, t, m)
	yes := c.On(at, m.X)
	shape := m.X.Shape()
	s := State{X: Where(BroadcastToShape(yes, shape), on.X, off.X), Alive: m.From.Alive}
	if on.LogQ != nil && off.LogQ != nil {
		s.LogQ = Where(BroadcastToShape(yes, on.LogQ.Shape()), on.LogQ, off.LogQ)
	}
	if verdict.Moved != nil {
		verdict.Moved = LogicalOr(verdict.Moved, LogicalNot(BroadcastToShape(yes, verdict.Moved.Shape())))
	}
	verdict.Accepted = Where(BroadcastToShape(yes, verdict.Accepted.Shape()), verdict.Accepted, free.Accepted)
	return s, verdict
}

// On reports whether this run applies the control, a bool scalar.
func (c Sometimes) On(at At, x *Node) *Node {
	lot := at.Lot
	if lot == nil {
		lot = at.Noise.Uniform(ForLot, 0, shapes.Make(x.DType()))
	}
	progress := at.Progress
	if progress == nil {
		progress = ScalarOne(x.Graph(), x.DType())
	}
	return LessThan(lot, ConvertDType(c.Share.At(progress), lot.DType()))
}

var _ Control = Sometimes{}
