//go:build unix

package envbridge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	socketDirPrefix = "stein-env-"
	lockName        = "lock"
	// Longest path of a local socket that every Unix takes (macOS: 104), less the
	// names put below the folder.
	maxSocketDir = 80
)

// A socketDir is a folder, private to this user, with the sockets of the local
// workers of one Bridge. It is locked while in use, by the file system's lock,
// which ends with the program: a folder without lock is left over.
type socketDir struct {
	path string
	lock *os.File
}

// newSocketDir makes one, and removes those that killed programs have left.
func newSocketDir() (*socketDir, error) {
	sweep(os.TempDir())
	path, err := os.MkdirTemp("", socketDirPrefix)
	if err != nil {
		return nil, fmt.Errorf("envbridge: folder for sockets: %w", err)
	}
	d := &socketDir{path: path}
	if len(path) > maxSocketDir {
		return nil, errors.Join(fmt.Errorf("envbridge: folder for sockets %s: path too long for a socket, set TMPDIR to a shorter one", path), d.remove())
	}
	if d.lock, err = lockDir(path); err != nil {
		return nil, errors.Join(fmt.Errorf("envbridge: folder for sockets: %w", err), d.remove())
	}
	return d, nil
}

func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return f, nil
}

// sweep removes this user's folders of sockets whose lock is free. One without a
// lock file is being made just now, or somebody else's.
func sweep(parent string) {
	paths, _ := filepath.Glob(filepath.Join(parent, socketDirPrefix+"*"))
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || !ours(info) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(path, lockName)); err != nil {
			continue
		}
		if lock, err := lockDir(path); err == nil {
			_ = os.RemoveAll(path)
			_ = lock.Close()
		}
	}
}

func ours(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

func (d *socketDir) remove() error {
	err := os.RemoveAll(d.path)
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}
