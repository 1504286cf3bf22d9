// Package replay stores transitions and draws minibatches.
//
// A [Uniform] buffer draws every transition with the same probability. A [Prioritized]
// buffer draws transitions with a large error more often. Both store each observation
// once: the successor of a transition is the start of the next one, and only the end of
// an episode needs its own observation.
package replay

import (
	"io"
	"math/rand/v2"
)

// A Transition is one step of one copy of an environment. Its slices are copied
// by Add and may be reused.
type Transition struct {
	Copy              int // which of the buffer's environment copies
	Obs, Action, Next []float32
	Reward            float32
	// Terminated: the value beyond Next is zero. Truncated: the episode ended for a
	// reason outside the task, and Next has a value. If both are set, Terminated applies.
	Terminated, Truncated bool
}

// A Batch is a minibatch in flat arrays, row by row. Sample fills it and reuses its
// memory.
type Batch struct {
	N           int
	Obs, Action []float32 // [N*ObsDim], [N*ActDim]
	Reward      []float32 // [N], Σ_{i<k} γ^i r_i over k ≤ n steps
	Next        []float32 // [N*ObsDim], the observation after k steps
	Discount    []float32 // [N], γ^k, or 0 if the episode terminated
	Weight      []float32 // [N], importance weight; 1 for uniform sampling
	Index       []int64   // [N], identifies the transitions, for Reprioritize
}

// A Buffer stores the newest transitions and draws minibatches of n with replacement. One
// writer (Add, Cut) and one reader (Sample) may use it concurrently.
type Buffer interface {
	// Add stores a transition. An Obs that differs from the copy's last Next starts an
	// episode, as after Cut. Add rejects numbers that are not finite.
	Add(t Transition) error
	// Cut ends the current episode of a copy whose next transition will not continue it
	// (its worker was lost).
	Cut(copy int)
	// Sample fills dst. It does not allocate if dst has held as many rows before.
	Sample(dst *Batch, n int, rng *rand.Rand) error
	Len() int
}

// A Prioritizer is a Buffer that uses the learner's errors on the transitions it drew.
type Prioritizer interface {
	// Reprioritize sets priorities from a Batch's Index and the absolute errors of its
	// rows. It skips transitions that the buffer no longer holds and errors that are not
	// finite.
	Reprioritize(index []int64, absError []float32)
}

// A Saver is a Buffer that can be saved and loaded. The same random numbers then draw the
// same minibatches. Both methods stream.
type Saver interface {
	// Save writes the content. Add must not be called meanwhile.
	Save(w io.Writer) error
	// Load replaces the content with that of a buffer of the same Config. NStep and Gamma
	// are not saved and may differ. After an error the buffer is empty.
	Load(r io.Reader) error
	// SaveBytes is the size of what Save would write now.
	SaveBytes() int64
}

// resize makes room for n rows.
func (b *Batch) resize(n, obsDim, actDim int) {
	b.N = n
	b.Obs, b.Next = sized(b.Obs, n*obsDim), sized(b.Next, n*obsDim)
	b.Action = sized(b.Action, n*actDim)
	b.Reward, b.Discount, b.Weight = sized(b.Reward, n), sized(b.Discount, n), sized(b.Weight, n)
	b.Index = sized(b.Index, n)
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
