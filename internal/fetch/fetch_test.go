package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func content() []byte {
	data := make([]byte, 100_000)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	return data
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// A broken server cuts the connection after some bytes, a few times, and keeps what
// it was asked for.
type broken struct {
	data   []byte
	breaks int
	ranges []string
}

func (s *broken) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	if len(s.ranges) > s.breaks {
		http.ServeContent(w, r, "file", time.Time{}, bytes.NewReader(s.data))
		return
	}
	from := 0
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
	w.Header().Set("Content-Length", fmt.Sprint(len(s.data)-from))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(s.data)-1, len(s.data)))
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(s.data[from : from+30_000])
	panic(http.ErrAbortHandler)
}

// Ensure that a download goes on where it broke, and that nothing is asked for twice.
func TestResume(t *testing.T) {
	data := content()
	server := &broken{data: data, breaks: 2}
	web := httptest.NewServer(server)
	defer web.Close()
	dir := t.TempDir()
	var last, total int64
	path, err := Get(t.Context(), File{URL: web.URL, Name: "f", Size: int64(len(data)), SHA256: sum(data)}, dir,
		func(d, n int64) { last, total = d, n })
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, data) {
		t.Errorf("%d bytes, not the file", len(got))
	}
	if want := []string{"", "bytes=30000-", "bytes=60000-"}; strings.Join(server.ranges, " ") != strings.Join(want, " ") {
		t.Errorf("asked for %q, want %q", server.ranges, want)
	}
	if last != int64(len(data)) || total != last {
		t.Errorf("progress ends at %d of %d", last, total)
	}
	if _, err := Get(t.Context(), File{URL: web.URL, Name: "f", SHA256: sum(data)}, dir, nil); err != nil || len(server.ranges) != 3 {
		t.Errorf("a file that is there: %v, %d requests", err, len(server.ranges))
	}
}

// Ensure that a part of an earlier process is used, that one longer than the file or
// with other bytes is not, and that a server without ranges is served from the start.
func TestParts(t *testing.T) {
	data := content()
	plain := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(data) })
	ranges := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "file", time.Time{}, bytes.NewReader(data))
	})
	for name, c := range map[string]struct {
		handler http.Handler
		part    []byte
		want    string // of the error; empty: none
	}{
		"goes on":        {ranges, data[:70_000], ""},
		"all was there":  {ranges, data, ""},
		"longer":         {ranges, append(content(), 1, 2, 3), ""},
		"no ranges":      {plain, data[:70_000], ""},
		"other bytes":    {ranges, make([]byte, 70_000), "has SHA-256"},
		"nothing before": {ranges, nil, ""},
	} {
		web := httptest.NewServer(c.handler)
		dir := t.TempDir()
		part := filepath.Join(dir, "f.part")
		if c.part != nil {
			if err := os.WriteFile(part, c.part, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		path, err := Get(t.Context(), File{URL: web.URL, Name: "f", SHA256: sum(data)}, dir, nil)
		web.Close()
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v; want %q in it", name, err, c.want)
			}
			if _, err := os.Stat(part); err == nil {
				t.Errorf("%s: the wrong part is still there", name)
			}
			continue
		}
		if got, _ := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v, %d bytes", name, err, len(got))
		}
	}
}

// Ensure that errors say where a file could be put by hand, that a wrong file is not
// replaced behind the user's back, and that cancelling ends at once.
func TestErrors(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	dir := t.TempDir()
	f := File{URL: web.URL, Name: "f", SHA256: sum(nil)}
	if _, err := Get(t.Context(), f, dir, nil); err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "put the file at "+dir) {
		t.Errorf("not found: %v", err)
	}
	web.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Get(ctx, f, dir, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "put the file at "+dir) {
		t.Errorf("no network: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Get(t.Context(), f, dir, nil); err == nil || !strings.Contains(err.Error(), "want "+f.SHA256) {
		t.Errorf("a wrong file: %v", err)
	}
}
