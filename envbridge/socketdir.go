//go:build unix

package envbridge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	socketDirPrefix = "stein-env-"
	lockName        = "lock"
	// Longest path of a local socket on any Unix (macOS: 104), less the names inside the
	// folder.
	maxSocketDir = 80
)

// A socketDir is a private folder with the sockets of a Bridge's local workers. While in
// use it holds a file lock, which ends with the program: a folder without a lock is
// stale.
type socketDir struct {
	path string
	lock *os.File
}

// newSocketDir creates a folder, and removes stale ones.
func newSocketDir() (*socketDir, error) {
	sweep(os.TempDir())
	for left := 3; ; left-- {
		d, err := makeSocketDir()
		// Another program's sweep can take a folder between its lock's creation and locking.
		if left == 0 || !errors.Is(err, errTaken) {
			return d, err
		}
	}
}

func makeSocketDir() (*socketDir, error) {
	path, err := os.MkdirTemp("", socketDirPrefix)
	if err != nil {
		return nil, fmt.Errorf("envbridge: folder for sockets (TMPDIR): %w", err)
	}
	d := &socketDir{path: path}
	if len(path) > maxSocketDir {
		return nil, errors.Join(fmt.Errorf("envbridge: folder for sockets %s: the path is too long for a socket; set TMPDIR to a shorter one", path), d.remove())
	}
	if d.lock, err = lockDir(path); err != nil {
		return nil, errors.Join(fmt.Errorf("envbridge: folder for sockets: %w", err), d.remove())
	}
	return d, nil
}

var errTaken = errors.New("another program has it")

// lockDir locks a folder. The lock is worth nothing if the file was removed between its
// opening and locking: then another program has swept the folder.
func lockDir(path string) (*os.File, error) {
	name := filepath.Join(path, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errTaken, err)
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w: %w", name, errTaken, err)
	}
	mine, err := f.Stat()
	there, gone := os.Lstat(name)
	if err != nil || gone != nil || !os.SameFile(mine, there) {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", name, errTaken)
	}
	return f, nil
}

// begun is how long a folder may lack its lock file: in between are a few instructions,
// unless its program was killed there, or while it removed the folder.
const begun = time.Minute

// sweep removes this user's stale folders.
func sweep(parent string) {
	paths, _ := filepath.Glob(filepath.Join(parent, socketDirPrefix+"*"))
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || !ours(info) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(path, lockName)); err != nil && time.Since(info.ModTime()) < begun {
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
