package agents

import (
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/replay"
)

// An Agent acts.
type Agent interface {
	// Act answers one action a row of obs, [N*ObsDim] -> [N*ActDim], in [-1, 1].
	// The slice is valid until the next call.
	Act(obs []float32, greedy bool) (action []float32, err error)
}

// An Updater is an Agent that learns: what a Loop asks for.
type Updater interface {
	Agent
	// Update takes the gradient steps that b holds batches for, one after the
	// other in one call, and fails on a figure that is not finite.
	Update(b *replay.Batch) (Metrics, error)
}

// A Learner is an Updater that can be kept and gone on from: what a program asks for.
type Learner interface {
	Updater
	// Store holds the variables, the optimisers' included.
	Store() *model.Store
	// State points to what has to be kept besides the Store. JSON writes it, and
	// reads it back into its place.
	State() any
	// Close frees what was compiled.
	Close()
}

// Counters are the State of a learner that counts alone.
type Counters struct {
	Updates uint64 `json:"updates"` // gradient steps of every part
	Acts    uint64 `json:"acts"`    // calls of Act that were not greedy
}

// A Judge is an Agent that knows how wrong it was about each row of the batch it
// was last updated with; a replay.Prioritizer is told. The slice is valid until
// the next Update.
type Judge interface{ AbsError() []float32 }

// A Scheduled agent changes with the share of the training that is behind it, in [0, 1].
type Scheduled interface{ SetProgress(share float64) }

// A Reseeder is an Agent whose greedy actions are drawn: an evaluation starts
// their random numbers anew.
type Reseeder interface{ SeedGreedy(seed uint64) }

// Metrics are scalars by their Stable-Baselines3 name, such as train/critic_loss.
type Metrics = map[string]float64

// A Recorder is told figures as training goes; step counts environment steps. It
// must not keep m.
type Recorder interface {
	Record(step int64, m Metrics) error
}
