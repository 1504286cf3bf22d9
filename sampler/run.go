package sampler

import . "github.com/gomlx/gomlx/core/graph"

// Steps is the length of a run.
type Steps struct {
	Max int // L
	// StopBelow ends a system's run once √|Stein identity| at its particles falls below
	// it (L_c); 0: never. A stopped system keeps its particles and density.
	StopBelow float64
}

// A Result is the outcome of a run.
type Result struct {
	State
	Path   []State // state at the start of each step
	Infos  []Info  // one per step
	Taken  *Node   // steps taken, L_c, [B]
	Faults Faults  // what went wrong; the code that runs the graph must check it
}

// Mean is the mean of a figure over steps and systems, a scalar; nil if the steps do not
// report it.
func (r Result) Mean(of func(Info) *Node) *Node {
	var sum *Node
	for _, info := range r.Infos {
		x := of(info)
		if x == nil {
			return nil
		}
		if x = ReduceAllMean(x); sum != nil {
			x = Add(sum, x)
		}
		sum = x
	}
	if sum == nil {
		return nil
	}
	return MulScalar(sum, 1/float64(len(r.Infos)))
}

// Run takes the steps in order. The loop is unrolled, so that gradients flow through it.
func Run(at At, smp Sampler, t Target, x, logQ *Node, steps Steps) Result {
	at.Steps = steps.Max
	r := Result{Faults: never(x)}
	taken := Zeros(x.Graph(), systems(x))
	var running *Node // bool [B]; nil: all
	s := State{X: x, LogQ: logQ}
	for l := range steps.Max {
		at.Step = l
		now := Evaluate(t, s.X, smp.Probes(at, s.X))
		now.LogQ, now.Alive = s.LogQ, s.Alive
		r.Faults = r.Faults.after(l, now)
		next, info := smp.Step(at, t, now)
		if steps.StopBelow > 0 {
			on := GreaterOrEqual(StopGradient(info.Stein), MulScalar(OnesLike(info.Stein), steps.StopBelow))
			if running != nil {
				on = LogicalAnd(on, running)
			}
			running = on
			next = hold(running, next, now)
			taken = Add(taken, ConvertDType(running, x.DType()))
		} else {
			taken = OnePlus(taken)
		}
		r.Path, r.Infos = append(r.Path, now), append(r.Infos, info)
		s = next
	}
	r.State, r.Taken = s, taken
	r.LogP, r.Score = t.Score(s.X)
	r.Faults = r.Faults.after(steps.Max, r.State)
	return r
}

// hold keeps the old state of systems that have stopped. States are merged nowhere else.
func hold(running *Node, next, old State) State {
	pick := func(a, b *Node) *Node {
		if a == nil || b == nil {
			return a
		}
		on := running
		for on.Rank() < a.Rank() {
			on = InsertAxes(on, -1)
		}
		return Where(BroadcastToDims(on, a.Shape().Dimensions...), a, b)
	}
	if next.Alive != nil && old.Alive == nil {
		old.Alive = OnesLike(next.Alive)
	}
	return State{X: pick(next.X, old.X), LogQ: pick(next.LogQ, old.LogQ), Alive: pick(next.Alive, old.Alive)}
}
