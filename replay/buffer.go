// Package replay keeps transitions and draws minibatches of them.
//
// A [Uniform] buffer draws every transition with the same probability, a
// [Prioritized] one those more often about which the learner was wrong. Both keep
// each observation once: what follows a transition is the start of the next one,
// and only an episode's end has an observation of its own.
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
	// Terminated: the value beyond Next is zero. Truncated: the episode ended
	// here for a reason outside of the task, and Next has a value. Both at once
	// count as Terminated.
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
	// Add takes a transition. An Obs that is not the copy's last Next starts an
	// episode, as after Cut. Numbers that are not finite are refused by name.
	Add(t Transition) error
	// Cut ends the running episode of a copy whose next transition will not
	// follow the last one added (its worker was lost).
	Cut(copy int)
	// Sample fills dst. It allocates nothing once dst has held as many rows.
	Sample(dst *Batch, n int, rng *rand.Rand) error
	Len() int
}

// A Prioritizer is a Buffer that wants to know how wrong the learner was about
// the transitions it drew.
type Prioritizer interface {
	// Reprioritize takes the Index of a Batch and the absolute errors of its rows.
	// Transitions that the buffer no longer holds, and errors that are no finite
	// number, are passed over.
	Reprioritize(index []int64, absError []float32)
}

// A Saver is a Buffer that can be written to a file and read back, so that the
// same random numbers then draw the same minibatches. Both methods stream.
type Saver interface {
	// Save writes the content. The buffer takes no Add in the meantime.
	Save(w io.Writer) error
	// Load replaces the content by that of a buffer of the same Config, but for
	// NStep and Gamma, which are not saved. After an error the buffer is empty.
	Load(r io.Reader) error
	// SaveBytes is the size of what Save would write now.
	SaveBytes() int64
}

// resize gives b room for n rows.
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
