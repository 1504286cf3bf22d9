package agents

// Random numbers come from counters rather than from carried state: the draws of an
// update or an action depend only on the seed and its number. These are a loop's streams;
// a learner's streams are below 4 and use another seed.
const (
	batchStream  = 4 // minibatches
	randomStream = 5 // uniform actions
)
