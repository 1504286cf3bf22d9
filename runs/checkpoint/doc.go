// Package checkpoint stores the state of a run on disk. A crash at any point leaves a
// usable checkpoint.
//
// A checkpoint is a folder, ROOT/step-000100000, with a manifest.json and the files that
// the manifest lists with their sizes and SHA-256 sums. [Write] fills a temporary folder
// and renames it last, [Latest] opens the newest checkpoint with valid sums, and [Prune]
// removes old ones. Variables are stored as safetensors, small state as JSON, and large
// data as a stream.
//
// docs/checkpoints.md describes the format and what resuming a run restores.
package checkpoint
