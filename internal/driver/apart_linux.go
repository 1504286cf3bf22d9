package driver

import "syscall"

// apart puts a driver in a process group of its own, so that Ctrl-C is ours to handle,
// and has the kernel end it when we die.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
