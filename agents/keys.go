package agents

// Random numbers come from counters, not from state that is carried along: what an
// update or an action draws follows from the seed and its number alone. These are
// the streams of a loop; a learner's are below 4 and of another seed.
const (
	batchStream  = 4 // minibatches
	randomStream = 5 // uniform actions
)
