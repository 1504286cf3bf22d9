// Package fetch downloads files with known checksums. It resumes interrupted downloads
// and verifies files before it uses them.
package fetch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/stein-rl/stein/internal/regular"
)

// A File is a file to download.
type File struct {
	URL    string
	Name   string // of the file on disk
	Size   int64  // bytes; 0: unknown
	SHA256 string // in hex, or its first digits; empty: not checked
}

const (
	tries = 5               // connections; each resumes where the last one broke off
	stall = 1 * time.Minute // without data, after which a connection counts as broken
)

// Get ensures that dir holds the file and returns its path. It verifies an existing file
// instead of downloading it again. progress may be nil.
func Get(ctx context.Context, f File, dir string, progress func(done, total int64)) (string, error) {
	path := filepath.Join(dir, f.Name)
	if _, err := os.Stat(path); err == nil {
		return path, f.Check(path)
	}
	if err := f.download(ctx, dir, progress); err != nil {
		return "", fmt.Errorf("downloading %s: %w; without a network, put the file at %s", f.URL, err, path)
	}
	return path, nil
}

func (f File) download(ctx context.Context, dir string, progress func(done, total int64)) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, f.Name)
	part := path + ".part"
	lock := flock.New(part + ".lock")
	free, err := lock.TryLock()
	if err != nil {
		return err
	}
	if !free {
		return fmt.Errorf("another process is downloading %s", part)
	}
	defer lock.Unlock()

	for try := 1; ; try++ {
		err := f.once(ctx, part, progress)
		if err == nil {
			break
		}
		var final permanent
		if errors.As(err, &final) || try == tries || ctx.Err() != nil {
			return cmp.Or(ctx.Err(), err)
		}
		if err := sleep(ctx, time.Duration(try)*time.Second); err != nil {
			return err
		}
	}
	if err := f.Check(part); err != nil {
		// Resuming from a bad part would always give a bad file.
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, path)
}

// permanent marks an error that retrying cannot fix.
type permanent struct{ error }

// once makes one connection and appends what is missing to part.
func (f File) once(ctx context.Context, part string, progress func(done, total int64)) (err error) {
	file, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return permanent{err}
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	have, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return permanent{err}
	}
	if f.Size > 0 && have == f.Size {
		return nil
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stall, func() { cancel(fmt.Errorf("no data for %v", stall)) })
	defer watch.Stop()
	reply, err := f.ask(ctx, have)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	defer reply.Body.Close()
	switch reply.StatusCode {
	case http.StatusPartialContent:
		var from int64
		if _, err := fmt.Sscanf(reply.Header.Get("Content-Range"), "bytes %d-", &from); err != nil || from != have {
			return permanent{fmt.Errorf("requested the bytes from %d, got range %q", have, reply.Header.Get("Content-Range"))}
		}
	case http.StatusOK, http.StatusRequestedRangeNotSatisfiable:
		// Start over: the server cannot resume, or its file is shorter than the part.
		if have, err = 0, errors.Join(file.Truncate(0), seek(file)); err != nil {
			return permanent{err}
		}
		if reply.StatusCode != http.StatusOK {
			return fmt.Errorf("the partial file is not shorter than the file on the server; starting again")
		}
	default:
		err := fmt.Errorf("the server says %s", reply.Status)
		if reply.StatusCode < 500 && reply.StatusCode != http.StatusTooManyRequests {
			return permanent{err}
		}
		return err
	}
	total := cmp.Or(f.Size, have+reply.ContentLength)
	_, err = io.Copy(file, &meter{reply.Body, have, total, progress, watch})
	return cmp.Or(context.Cause(ctx), err)
}

// ask requests all bytes from have on.
func (f File) ask(ctx context.Context, have int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return nil, permanent{err}
	}
	if have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	return http.DefaultClient.Do(request)
}

func seek(file *os.File) error {
	_, err := file.Seek(0, io.SeekStart)
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// A meter reports progress and resets the stall timer.
type meter struct {
	io.Reader
	done, total int64
	progress    func(done, total int64)
	watch       *time.Timer
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.done += int64(n)
	m.watch.Reset(stall)
	if m.progress != nil && n > 0 {
		m.progress(m.done, m.total)
	}
	return n, err
}

// Check verifies the size and checksum of a file.
func (f File) Check(path string) error {
	file, err := regular.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	h := sha256.New()
	n, err := io.Copy(h, file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if f.Size > 0 && n != f.Size {
		return fmt.Errorf("%s has %d bytes, want %d", path, n, f.Size)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if len(sum) < len(f.SHA256) || sum[:len(f.SHA256)] != f.SHA256 {
		return fmt.Errorf("%s has SHA-256 %s, want %s: it is damaged or a different file", path, sum, f.SHA256)
	}
	return nil
}
