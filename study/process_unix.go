//go:build unix && !linux

package study

import "syscall"

// processAttributes puts a trial in its own process group, so that Ctrl-C reaches only
// the sweep. Pdeathsig is Linux only: here a trial outlives a killed sweep and holds its
// run folder until it ends.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
