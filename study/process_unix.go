//go:build unix && !linux

package study

import "syscall"

// processAttributes puts a trial in a process group of its own, so that Ctrl-C is the
// sweep's to handle. There is no Pdeathsig here: a trial outlives a sweep that is
// killed, and holds its run folder until it ends.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
