package envbridge

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	tailLines     = 40 // a whole stack of Python's after a crash
	tailLineBytes = 1024
)

// A tail keeps the last lines of a worker's output and logs each at debug level. It is
// safe for concurrent use.
type tail struct {
	log *slog.Logger

	mu    sync.Mutex
	lines []string
	rest  []byte // a line not yet ended
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		t.grow(p[:i])
		t.endLine()
		p = p[i+1:]
	}
	t.grow(p)
	return n, nil
}

func (t *tail) grow(p []byte) {
	t.rest = append(t.rest, p[:min(len(p), tailLineBytes-len(t.rest))]...)
}

func (t *tail) endLine() {
	line := string(bytes.TrimRight(t.rest, "\r"))
	t.rest = t.rest[:0]
	if len(t.lines) == tailLines {
		t.lines = slices.Delete(t.lines, 0, 1)
	}
	t.lines = append(t.lines, line)
	t.log.LogAttrs(context.Background(), slog.LevelDebug, "worker output", slog.String("line", line))
}

// settled returns the lines once none has come for a moment. What a worker printed before
// it replied may still be in the pipe when the reply, by another way, is here.
func (t *tail) settled() []string {
	const quiet, atMost = 50 * time.Millisecond, time.Second
	lines := t.last()
	for end := time.Now().Add(atMost); time.Now().Before(end); {
		time.Sleep(quiet)
		now := t.last()
		if slices.Equal(now, lines) {
			break
		}
		lines = now
	}
	return lines
}

// last returns the lines so far, including an unfinished one.
func (t *tail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := slices.Clone(t.lines)
	if len(t.rest) > 0 {
		lines = append(lines, string(t.rest))
	}
	return lines
}
