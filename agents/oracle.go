package agents

// An Oracle answers queries for a learner: actions and the learner's estimates of them.
// It works in batches of a few fixed sizes, compiled in advance. Only one goroutine at a
// time may use it and its learner.
type Oracle interface {
	// Ask answers obs [n*S], for any n. Random draws depend on seed, call and row. If the
	// networks overflow on an observation, its answer is not finite; other rows are not
	// affected.
	Ask(obs []float32, greedy bool, seed, call uint64) (Answer, error)
	// Batch is the largest number of rows computed in one call.
	Batch() int
	// Draws reports whether even greedy actions are random, so that they depend on the
	// seed and the position in a batch. Those of particle policies are.
	Draws() (bool, error)
	// Close frees the Oracle's compiled graphs, but not the learner's.
	Close()
}

// An Answer holds an Oracle's results for n observations. The caller owns it.
type Answer struct {
	Action  []float32 // [n*A], in [−1, 1]
	LogProb []float32 // log π(a|s), [n]; nil for greedy actions
	Entropy []float32 // of the policy at each state, in nats, [n]; nil: not available
	Value   []float32 // the learner's estimate of the action's value, [n]; nil: not available
}

// An Answerer is a learner that can build an Oracle for batches of the given sizes.
type Answerer interface {
	Oracle(sizes []int) (Oracle, error)
}

// A Portrait describes a policy and its critic at one state. The draws omit dead
// particles.
type Portrait struct {
	Actions []float32 // draws, [N*A], in (−1, 1)
	LogProb []float32 // [N]
	Value   []float32 // of the given actions, [G]
	Alpha   float64   // entropy temperature
}
