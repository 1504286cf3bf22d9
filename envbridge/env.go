package envbridge

import (
	"context"
	"fmt"
	"slices"
)

// An Env is N copies of one environment that step together, in worker processes or in
// this process. Slices are flat, row by row ([N*ObsDim], [N*ActDim], [N]); returned
// slices are valid until the next call. Actions are in [-1, 1]; the Env scales them to
// the environment's bounds.
//
// Send and Recv split a step, so that the caller can work while the simulator does. Only
// one goroutine at a time may use an Env.
type Env interface {
	Spec() Spec
	// Reset starts an episode in every copy. Copy i is seeded with seed+i. If that
	// exceeds MaxSeed, the environment may receive only its lowest 31 bits.
	Reset(ctx context.Context, seed int64) (obs []float32, err error)
	// Send starts a step. Every Send must be followed by one Recv.
	Send(ctx context.Context, action []float32) error
	// Recv waits for the step that the last Send started.
	Recv(ctx context.Context) (Step, error)
	Close() error
}

// A Spec describes an environment; workers send it in the handshake. Its slices are
// read-only.
type Spec struct {
	ID       string // Gymnasium id, such as Walker2d-v5
	Copies   int    // N
	ObsDim   int    // the product of ObsShape
	ActDim   int    // the product of ActShape
	MaxSteps int    // time limit of an episode; 0: none
	// FPS is the number of images per second in real time; 0: unknown.
	FPS float64
	// Bounds are the bounds of the environment's own actions; nil: unknown.
	Bounds *Bounds
	// ObsShape and ActShape are the shapes of the environment's arrays, which Env
	// flattens; nil: unknown.
	ObsShape, ActShape []int
}

// Bounds are the bounds of each number of an action, [ActDim]. An action a in [-1, 1]
// becomes the environment's action Low + (a + 1)/2·(High - Low).
type Bounds struct{ Low, High []float64 }

// Equal reports whether two specs are equal.
func (s Spec) Equal(o Spec) bool {
	alike := s.Bounds == nil && o.Bounds == nil || s.Bounds != nil && o.Bounds != nil &&
		slices.Equal(s.Bounds.Low, o.Bounds.Low) && slices.Equal(s.Bounds.High, o.Bounds.High)
	return alike && slices.Equal(s.ObsShape, o.ObsShape) && slices.Equal(s.ActShape, o.ActShape) &&
		s.ID == o.ID && s.Copies == o.Copies && s.ObsDim == o.ObsDim && s.ActDim == o.ActDim && s.MaxSteps == o.MaxSteps && s.FPS == o.FPS
}

// String describes the environment in a message.
func (s Spec) String() string {
	text := fmt.Sprintf("%d copies of %s, observations of shape %v, actions of shape %v", s.Copies, s.ID, s.ObsShape, s.ActShape)
	if s.Bounds != nil {
		text += fmt.Sprintf(" from %v to %v", s.Bounds.Low, s.Bounds.High)
	}
	return text + fmt.Sprintf(", %d steps per episode, %g frames/s", s.MaxSteps, s.FPS)
}

// A Step is the result of an action. Next is the true successor, to learn from. Obs is
// the observation to act on; it differs from Next if the episode ended and was reset.
type Step struct {
	Next, Obs []float32 // [N*ObsDim]
	Reward    []float32 // [N]
	// Terminated means that the value beyond is zero. A copy that reports both ends is
	// only Terminated.
	Terminated, Truncated []bool // [N]
	// Lost means that the worker died or hung and was replaced. The action has no
	// outcome, Next and Reward are empty, all current episodes end as truncated, and Obs
	// is the start of new ones.
	Lost bool
}
