// Package stein carries the lists of Python packages that the program installs. They
// lie at the root of the source tree, where pip's users look for them, and go:embed
// can't reach upwards.
package stein

import "embed"

// Requirements holds requirements.txt, requirements-cuda.txt and
// requirements-cluster.txt under these names.
//
//go:embed requirements.txt requirements-cuda.txt requirements-cluster.txt
var Requirements embed.FS
