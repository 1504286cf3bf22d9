// Package checkpoint keeps the state of a run on disk so that a crash at any
// point leaves a usable one.
//
// A checkpoint is a folder, ROOT/step-000100000, with a manifest.json and the
// files that the manifest names with their sizes and SHA-256 sums. [Write] fills
// a folder beside it and renames it last, [Latest] opens the newest one whose
// sums hold, [Prune] removes those that nobody needs. Variables are stored as
// safetensors, small state as JSON, and anything large as a stream.
//
// docs/checkpoints.md has the format, and what resuming a run restores.
package checkpoint
