// Package runs manages runs of any kind: the folder with its lock, configuration,
// metrics, log and checkpoints, the seeds of a run's random streams, and the training
// skeleton that all kinds share.
//
// docs/architecture.md lists the files of a run folder.
package runs
