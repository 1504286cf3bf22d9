package dataset

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packed packs files into a .tar in the given order.
func packed(t *testing.T, names []string, content func(name string) []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	out := tar.NewWriter(&buf)
	for _, name := range names {
		data := content(name)
		if err := out.WriteHeader(&tar.Header{Name: cifarFolder + "/" + name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Ensure that an archive given by its path is read, gzipped or not, whatever the order of
// its files, and that a cut or incomplete one is an error that names it.
func TestArchive(t *testing.T) {
	test := records(cifarRecords)
	content := func(name string) []byte {
		if name == "test_batch.bin" {
			return test
		}
		return []byte("text")
	}
	path := filepath.Join(t.TempDir(), "mine.tar.gz")
	plain := packed(t, []string{"readme.html", "test_batch.bin", "batches.meta.txt"}, content)
	data := zipped(t, plain)
	for _, bytes := range [][]byte{plain, data} {
		write(t, path, bytes)
		m, err := Open(t.Context(), Source{Name: "cifar10", Path: path, Split: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if m.Len() != cifarRecords || m.Labels[4] != 4 {
			t.Errorf("%d pictures, label %d", m.Len(), m.Labels[4])
		}
	}
	if _, err := Open(t.Context(), Source{Name: "cifar10", Path: path}); err == nil || !strings.Contains(err.Error(), "has no data_batch_1.bin") {
		t.Errorf("without the training files: %v", err)
	}
	if err := os.Truncate(path, int64(len(data)/2)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Source{Name: "cifar10", Path: path, Split: "test"}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "offset") {
		t.Errorf("a cut archive: %v", err)
	}
}
