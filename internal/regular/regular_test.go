package regular_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stein-rl/stein/internal/regular"
)

// Ensure that a file and a link to it are read, and that what is no file is an error that
// names it, without waiting.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", at("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", at("loop")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "link"} {
		if data, err := regular.ReadFile(at(name)); err != nil || string(data) != "text" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
		if f, err := regular.Open(at(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			f.Close()
		}
	}
	for path, want := range map[string]string{
		at("pipe"): "a named pipe, want a file", dir: "a folder, want a file", os.DevNull: "a device, want a file", at("loop"): "links", at("none"): "no such file",
	} {
		if err := regular.Replaceable(path); (err == nil) != (path == at("none")) {
			t.Errorf("replacing %s: %v", path, err)
		}
		if _, err := regular.ReadFile(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q in it", path, err, want)
		}
		if f, err := regular.Open(path); err == nil {
			f.Close()
			t.Errorf("%s is opened", path)
		}
	}
}
