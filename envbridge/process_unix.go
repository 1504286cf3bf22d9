//go:build unix && !linux

package envbridge

import "syscall"

// processAttributes puts a worker in a process group of its own, so that Ctrl-C is
// this program's to handle. There is no Pdeathsig here: a worker that hangs while
// this program dies stays.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
