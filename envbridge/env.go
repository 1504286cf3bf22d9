package envbridge

import (
	"context"
	"slices"
)

// An Env is N copies of one environment stepped together, at the far end of a
// socket or in this process. Slices are flat, row after row ([N*ObsDim],
// [N*ActDim], [N]); those returned are valid until the next call. Actions are in
// [-1, 1]; the far side scales them to the environment's bounds.
//
// Send and Recv are the two halves of a step, so that the caller can work while
// the simulator does. One goroutine uses an Env at a time.
type Env interface {
	Spec() Spec
	// Reset starts an episode in every copy. Copy i is seeded with seed+i; of a larger
	// sum than MaxSeed an environment may get the lowest 31 bits alone.
	Reset(ctx context.Context, seed int64) (obs []float32, err error)
	// Send starts a step. Every Send is followed by one Recv.
	Send(ctx context.Context, action []float32) error
	// Recv waits for the step that the last Send started.
	Recv(ctx context.Context) (Step, error)
	Close() error
}

// A Spec is what the far side says of itself at the handshake. Its slices are not
// changed by anyone.
type Spec struct {
	ID       string // Gymnasium id, such as Walker2d-v5
	Copies   int    // N
	ObsDim   int    // the product of ObsShape
	ActDim   int    // the product of ActShape
	MaxSteps int    // time limit of an episode; 0: none
	// FPS is how many pictures a second show the environment in real time; 0: unknown.
	FPS float64
	// Bounds are those of the environment's own actions; nil: unknown.
	Bounds *Bounds
	// ObsShape and ActShape are those of the environment's arrays, which Env flattens;
	// nil: unknown.
	ObsShape, ActShape []int
}

// Bounds are the lowest and the highest of each number of an action, [ActDim]. The
// environment's action for a of [-1, 1] is Low + (a + 1)/2·(High - Low).
type Bounds struct{ Low, High []float64 }

// Equal says whether two environments describe themselves alike.
func (s Spec) Equal(o Spec) bool {
	alike := s.Bounds == nil && o.Bounds == nil || s.Bounds != nil && o.Bounds != nil &&
		slices.Equal(s.Bounds.Low, o.Bounds.Low) && slices.Equal(s.Bounds.High, o.Bounds.High)
	return alike && slices.Equal(s.ObsShape, o.ObsShape) && slices.Equal(s.ActShape, o.ActShape) &&
		s.ID == o.ID && s.Copies == o.Copies && s.ObsDim == o.ObsDim && s.ActDim == o.ActDim && s.MaxSteps == o.MaxSteps && s.FPS == o.FPS
}

// A Step answers an action. Next is the true successor, the one to learn from;
// Obs is where to act now. They differ where an episode ended and was reset.
type Step struct {
	Next, Obs []float32 // [N*ObsDim]
	Reward    []float32 // [N]
	// Only Terminated means that the value beyond is zero. A copy that reports
	// both ended is Terminated alone.
	Terminated, Truncated []bool // [N]
	// Lost says that the worker died or hung and was replaced: the action sent
	// has no outcome, Next and Reward hold nothing, every episode that was
	// running ends as truncated, and Obs is where the new ones start.
	Lost bool
}
