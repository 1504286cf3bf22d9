package study

import "syscall"

// processAttributes puts a trial in a process group of its own, so that Ctrl-C is the
// sweep's to handle, and has the kernel kill it when the sweep dies.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
