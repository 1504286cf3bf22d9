package envbridge

import "syscall"

// processAttributes puts a worker in a process group of its own, so that Ctrl-C is
// this program's to handle, and has the kernel kill it when this program dies,
// even while it hangs.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// yieldProcessor lets another thread of the machine run, if one wants to.
func yieldProcessor() { _, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
