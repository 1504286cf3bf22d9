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

// key is the i-th key of a stream, for the engine: a Philox key and the high half
// of its counter, from which draws count up.
func key(seed uint64, stream, i uint64) [3]uint64 {
	return [3]uint64{mix(mix(seed, stream), i), 0, mix(mix(seed, stream+1<<32), i)}
}

// mix hashes x into h, by SplitMix64's finaliser (Steele, Lea and Flood 2014).
func mix(h, x uint64) uint64 {
	z := h + (x+1)*0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}
