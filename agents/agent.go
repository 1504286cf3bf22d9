package agents

import (
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/replay"
)

// An Agent chooses actions.
type Agent interface {
	// Act returns one action per row of obs, [N*ObsDim] -> [N*ActDim], in [-1, 1]. The
	// slice is valid until the next call.
	Act(obs []float32, greedy bool) (action []float32, err error)
}

// An Updater is an Agent that learns; a Loop needs one.
type Updater interface {
	Agent
	// Update takes the gradient steps for all minibatches in b, in order, in one call. It
	// fails if a figure is not finite.
	Update(b *replay.Batch) (Metrics, error)
}

// A Learner is an Updater that can be saved and resumed; programs need one.
type Learner interface {
	Updater
	// Store holds the variables, including the optimisers'.
	Store() *model.Store
	// State points to what must be saved besides the Store. It is encoded as JSON and
	// decoded in place.
	State() any
	// Close frees the compiled graphs.
	Close()
}

// Counters are the State of a learner that only counts.
type Counters struct {
	Updates uint64 `json:"updates"` // gradient steps of every part
	Acts    uint64 `json:"acts"`    // calls of Act with greedy false
}

// A Judge is an Agent that reports its absolute error for each row of the last batch, for
// a replay.Prioritizer. The slice is valid until the next Update.
type Judge interface{ AbsError() []float32 }

// A Scheduled agent depends on the fraction of training completed, in [0, 1].
type Scheduled interface{ SetProgress(share float64) }

// A Reseeder is an Agent with random greedy actions. An evaluation resets their seed.
type Reseeder interface{ SeedGreedy(seed uint64) }

// Metrics are scalars by Stable-Baselines3's names, such as train/critic_loss.
type Metrics = map[string]float64

// A Recorder receives a Loop's figures; step counts environment steps. It must not keep m.
// A run folder's implementation is in package runs, which this package does not import.
type Recorder interface {
	Record(step int64, m Metrics) error
}
