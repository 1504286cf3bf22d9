package envbridge

import "syscall"

// processAttributes puts a worker in its own process group, so that Ctrl-C reaches only
// this program, and makes the kernel kill the worker when this program dies, even if it
// hangs.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// yieldProcessor lets another thread run.
func yieldProcessor() { _, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
