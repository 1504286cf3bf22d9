package driver

import "syscall"

// apart puts a driver in its own process group, so that Ctrl-C reaches only this program,
// and makes the kernel kill it when this program dies.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
