// Package enginetest provides backends for tests.
package enginetest

import (
	"sync"
	"testing"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/engine"
)

var open = sync.OnceValues(func() (compute.Backend, error) {
	b, _, err := engine.Open("")
	return b, err
})

var openGo = sync.OnceValues(func() (compute.Backend, error) {
	b, _, err := engine.Open(engine.PureGo)
	return b, err
})

// Backend is the default backend of this machine, shared by all tests of a package. With
// -short it is PureGo, because XLA takes seconds to compile a graph that a test runs
// once.
func Backend(t testing.TB) compute.Backend {
	if testing.Short() {
		return must(t, openGo)
	}
	return must(t, open)
}

// Compiled is the default backend of this machine, for graphs with operations that PureGo
// lacks, such as gradients of convolutions. With -short it skips the test.
func Compiled(t testing.TB) compute.Backend {
	if testing.Short() {
		t.Skip("compiles graphs with XLA")
	}
	return must(t, open)
}

// PureGo is the interpreter, which works on every machine.
func PureGo(t testing.TB) compute.Backend { return must(t, openGo) }

func must(t testing.TB, open func() (compute.Backend, error)) compute.Backend {
	t.Helper()
	b, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
