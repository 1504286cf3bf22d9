// Package replay keeps transitions and draws minibatches of them.
package replay

import "math/rand/v2"

// A Transition is one step of one copy of an environment. Its slices are copied
// by Add and may be reused.
type Transition struct {
	Copy              int // which of the buffer's environment copies
	Obs, Action, Next []float32
	Reward            float32
	// Terminated: the value beyond Next is zero. Truncated: the episode ended
	// here for a reason outside of the task, and Next has a value.
	Terminated, Truncated bool
}

// A Batch is a minibatch in flat arrays, row after row. Sample fills one and
// reuses its memory.
type Batch struct {
	N           int
	Obs, Action []float32 // [N*ObsDim], [N*ActDim]
	Reward      []float32 // [N], Σ_{i<k} γ^i r_i over the k ≤ n steps looked ahead
	Next        []float32 // [N*ObsDim], the observation k steps on
	Discount    []float32 // [N], γ^k, or 0 where the episode terminated
	Weight      []float32 // [N], importance weight; 1 for uniform sampling
	Index       []int64   // [N], where each came from, for Reprioritize
}

// A Buffer keeps the newest transitions and draws minibatches of n of them with
// replacement. It is safe for one writer (Add, Cut) and one reader (Sample) at once.
type Buffer interface {
	Add(t Transition) error
	// Cut ends the running episode of a copy whose next transition will not
	// follow the last one added (its worker was lost).
	Cut(copy int)
	Sample(dst *Batch, n int, rng *rand.Rand) error
	Len() int
}

// A Prioritizer is a Buffer that wants to know how wrong the learner was about
// the transitions it drew.
type Prioritizer interface {
	Reprioritize(index []int64, absError []float32)
}
