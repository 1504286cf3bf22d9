//go:build unix && !linux

package driver

import "syscall"

// apart puts a driver in its own process group, so that Ctrl-C reaches only this program.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
