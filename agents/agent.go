package agents

import "github.com/stein-rl/stein/replay"

// An Agent acts and learns.
type Agent interface {
	// Act answers one action a row of obs, [N*ObsDim] -> [N*ActDim], in [-1, 1].
	// The slice is valid until the next call.
	Act(obs []float32, greedy bool) (action []float32, err error)
	// Update takes the gradient steps that b holds batches for, one after the
	// other in one call, and fails on a figure that is not finite.
	Update(b *replay.Batch) (Metrics, error)
}

// Metrics are scalars by their Stable-Baselines3 name, such as train/critic_loss.
type Metrics map[string]float64

// A Recorder is told figures as training goes; step counts environment steps. It
// must not keep m.
type Recorder interface {
	Record(step int64, m Metrics) error
}
