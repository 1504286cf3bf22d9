package agents

// An Oracle answers for a learner with actions and with what the learner thinks of
// them. It works in batches of a few fixed sizes, for which it is prepared once. One
// goroutine uses it and its learner at a time.
type Oracle interface {
	// Ask answers obs [n*S], any n. What is drawn follows from seed, the call's number
	// and the row. An observation that is too much for the networks gets an answer that
	// is not finite, which spoils no other row.
	Ask(obs []float32, greedy bool, seed, call uint64) (Answer, error)
	// Batch is the largest number of rows that are worked out in one call.
	Batch() int
	// Draws says whether even the greedy actions are drawn, so that they depend on the
	// seed and on the place in a batch: those of particles are.
	Draws() (bool, error)
	// Close frees what was compiled, the learner's own excepted.
	Close()
}

// An Answer is what an Oracle says of n observations. The caller owns it.
type Answer struct {
	Action  []float32 // [n*A], in [−1, 1]
	LogProb []float32 // log π(a|s), [n]; nil where nothing was drawn
	Entropy []float32 // of the policy at each state, nats, [n]; nil: it has none
	Value   []float32 // of the action, by what the learner believes, [n]
}

// An Answerer is a learner that has an Oracle, for batches of these sizes.
type Answerer interface {
	Oracle(sizes []int) (Oracle, error)
}

// A Portrait is what a policy does at one state, and what its critic thinks of it.
// Particles that were lost are left out of the draws.
type Portrait struct {
	Actions []float32 // draws, [N*A], in (−1, 1)
	LogProb []float32 // [N]
	Value   []float32 // of the actions asked about, [G]
	Alpha   float64   // entropy temperature
}
