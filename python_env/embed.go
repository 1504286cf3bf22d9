// Package pythonenv carries the Python side of the simulator bridge inside the
// Go binary, so that the two always speak the same version of the protocol.
package pythonenv

import "embed"

// Source is the package stein_env, under that name, without its tests.
//
//go:embed stein_env/*.py stein_env/cluster/*.py
var Source embed.FS
