//go:build unix && !linux

package driver

import "syscall"

// apart puts a driver in a process group of its own, so that Ctrl-C is ours to handle.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
