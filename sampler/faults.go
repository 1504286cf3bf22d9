package sampler

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
)

// Faults say where runs went wrong: for each system the first step at whose start it
// was so, L for the end, −1 for never. Nodes are [B] in the type of the particles.
type Faults struct {
	NotFinite *Node // a living particle whose position, log p̄, score or log q is no finite number
	TooFew    *Node // fewer than two particles alive, of two or more
}

// Check is the error of faults that came out of a graph, nil where all are −1. It
// names system and step.
func (Faults) Check(notFinite, tooFew []float64) error {
	for b, l := range notFinite {
		if l >= 0 {
			return fmt.Errorf("sampler: system %d: a particle, its log-density or its score is not finite at step %g: a smaller step size, a bound or a wider kernel may do", b, l)
		}
	}
	for b, l := range tooFew {
		if l >= 0 {
			return fmt.Errorf("sampler: system %d: truncation left fewer than two particles at step %g: take more particles or a smaller step size", b, l)
		}
	}
	return nil
}

// never are faults that have not happened.
func never(x *Node) Faults {
	none := MulScalar(Ones(x.Graph(), systems(x)), -1)
	return Faults{NotFinite: none, TooFew: none}
}

// after are the faults once the state at the start of step l is known.
func (f Faults) after(l int, s State) Faults {
	sound := LogicalAnd(IsFinite(ReduceSum(Add(s.X, s.Score), -1)), IsFinite(s.LogP))
	if s.LogQ != nil {
		sound = LogicalAnd(sound, IsFinite(s.LogQ))
	}
	if s.Alive != nil {
		sound = LogicalOr(sound, LogicalNot(s.Alive))
		n, _ := s.count()
		few := LessThan(Squeeze(n, -1), MulScalar(OnesLike(f.TooFew), 2))
		f.TooFew = f.first(f.TooFew, few, l)
	}
	f.NotFinite = f.first(f.NotFinite, LogicalNot(LogicalAll(sound, -1)), l)
	return f
}

// first is l where it has now happened, and not before.
func (Faults) first(before, now *Node, l int) *Node {
	fresh := LogicalAnd(now, LessThan(before, ZerosLike(before)))
	return StopGradient(Where(fresh, MulScalar(OnesLike(before), float64(l)), before))
}
