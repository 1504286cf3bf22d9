// Package runs is the record of a run, whatever trains in it: the folder with its
// lock, configuration, metrics, log and checkpoints, the seeds that a run's random
// numbers come from, and the one skeleton of a training that all kinds share.
//
// docs/architecture.md lists the files of a folder.
package runs
