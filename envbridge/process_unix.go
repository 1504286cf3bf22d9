//go:build unix && !linux

package envbridge

import (
	"runtime"
	"syscall"
)

// processAttributes puts a worker in a process group of its own, so that Ctrl-C is
// this program's to handle. There is no Pdeathsig here: a worker that hangs while
// this program dies stays.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// yieldProcessor lets another goroutine run, if one wants to.
func yieldProcessor() { runtime.Gosched() }
