//go:build unix && !linux

package envbridge

import (
	"runtime"
	"syscall"
)

// processAttributes puts a worker in its own process group, so that Ctrl-C reaches only
// this program. Pdeathsig is Linux only: here a worker that hangs while this program dies
// remains.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// yieldProcessor lets another goroutine run.
func yieldProcessor() { runtime.Gosched() }
