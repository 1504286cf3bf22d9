package agents

// Random numbers come from counters, not from state that is carried along: what an
// update or an action draws follows from the seed and its number alone. These are
// the streams of a learner.
const (
	updateStream = iota + 1
	actStream
	greedyStream
	batchStream  // minibatches
	randomStream // uniform actions
	oracleStream // answers of an Oracle
)
