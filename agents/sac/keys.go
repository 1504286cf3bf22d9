package sac

// The random-number streams of a learner.
const (
	updateStream = 1
	actStream    = 2
	greedyStream = 3
	oracleStream = 6 // answers of an Oracle
	valueStream  = 7 // SoftValues
)
