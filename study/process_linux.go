package study

import "syscall"

// processAttributes puts a trial in its own process group, so that Ctrl-C reaches only
// the sweep, and makes the kernel kill it when the sweep dies.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
