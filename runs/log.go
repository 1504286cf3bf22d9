package runs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/stein-rl/stein/internal/regular"
)

// The log of a run, and its previous part. To keep a long run from filling the disk, a
// log that reaches its maximum size replaces the previous part, and a new log starts.
const (
	logName    = "log.jsonl"
	oldLogName = "log.1.jsonl"
	logSize    = 10 << 20
)

// A runLog appends whole lines to a folder's log. It is safe for concurrent use.
type runLog struct {
	dir  string
	most int64 // bytes

	mu   sync.Mutex
	file *os.File
	size int64
}

// OpenLog opens the folder's log to append to it.
func (f *Folder) OpenLog() (io.WriteCloser, error) {
	l := &runLog{dir: f.Dir, most: logSize}
	return l, l.open()
}

func (l *runLog) open() error {
	path := filepath.Join(l.dir, logName)
	if err := regular.Replaceable(path); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("run folder: %w", err), file.Close())
	}
	l.file, l.size = file, info.Size()
	return nil
}

// Write appends a line.
func (l *runLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return 0, fs.ErrClosed
	}
	if l.size > 0 && l.size+int64(len(line)) > l.most {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

func (l *runLog) rotate() error {
	path := filepath.Join(l.dir, logName)
	err := errors.Join(l.file.Close(), os.Rename(path, filepath.Join(l.dir, oldLogName)))
	l.file = nil
	return errors.Join(err, l.open())
}

// Close closes the file.
func (l *runLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
