package sampler

import (
	"math"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// A Schedule is a number that goes from Start to End over the first Duration of the
// training (a share of it; zero: all of it), by a straight line or by equal factors.
type Schedule struct {
	Start, End, Duration float64
	Exponential          bool
}

// At is the value at a progress in [0, 1], scalar.
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

// Sometimes uses a control in a share of the runs that changes over the training, and
// makes every move in the others: low early to explore, high late to exploit.
type Sometimes struct {
	Of    Control
	Share Schedule
}

// Resolve asks At.Lot, one number for the whole run, whether this run is corrected.
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

// On says whether this run is corrected, bool, scalar.
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
