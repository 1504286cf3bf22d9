// Package fetch downloads files whose sums are known: a download that stopped goes
// on where it did, and what comes is checked before it counts.
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
)

// A File is one thing to download.
type File struct {
	URL    string
	Name   string // of the file on disk
	Size   int64  // bytes; 0: unknown
	SHA256 string // in hex, or the first digits of it; empty: not checked
}

const (
	tries = 5               // connections, each of which goes on where the last one broke
	stall = 1 * time.Minute // without a byte: the connection counts as broken
)

// Get makes sure that dir holds the file and answers its path. A file that is there
// is not asked for again, but its sum is checked. progress may be nil.
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
		// Going on from a wrong beginning would give a wrong file for ever.
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, path)
}

// permanent is an error that another try would meet as well.
type permanent struct{ error }

// once is one connection: it appends to part what is missing.
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
		// From the start: the server cannot go on, or has a shorter file than the part.
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

// ask sends the request for all bytes from have on.
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

// A meter tells of what goes through it, and keeps the watch from going off.
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

// Check compares size and sum of a file with what they must be.
func (f File) Check(path string) error {
	file, err := os.Open(path)
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
		return fmt.Errorf("%s has %d bytes: want %d", path, n, f.Size)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if len(sum) < len(f.SHA256) || sum[:len(f.SHA256)] != f.SHA256 {
		return fmt.Errorf("%s has the SHA-256 %s: want %s; it is another file or damaged", path, sum, f.SHA256)
	}
	return nil
}
