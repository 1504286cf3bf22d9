package sampler

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// Faults report where runs went wrong.
type Faults struct {
	// NotFinite is, for each system, the first step at whose start the position, log p̄,
	// score or log q of a living particle was not finite: [B] in the dtype of the
	// particles; L means the end of the run, −1 never.
	NotFinite *Node
}

// never is the value for runs without faults.
func never(x *Node) Faults {
	return Faults{NotFinite: MulScalar(Ones(x.Graph(), systems(x)), -1)}
}

// after updates the faults with the state at the start of step l.
func (f Faults) after(l int, s State) Faults {
	sound := LogicalAnd(IsFinite(ReduceSum(Add(s.X, s.Score), -1)), IsFinite(s.LogP))
	if s.LogQ != nil {
		sound = LogicalAnd(sound, IsFinite(s.LogQ))
	}
	if s.Alive != nil {
		sound = LogicalOr(sound, LogicalNot(s.Alive))
	}
	before := f.NotFinite
	fresh := LogicalAnd(LogicalNot(LogicalAll(sound, -1)), LessThan(before, ZerosLike(before)))
	return Faults{NotFinite: StopGradient(Where(fresh, MulScalar(OnesLike(before), float64(l)), before))}
}
