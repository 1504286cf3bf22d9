package dataset

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// records makes n records: label i mod 10, and a value for each pixel and channel
// that says where it is.
func records(n int) []byte {
	var data []byte
	for i := range n {
		data = append(data, byte(i%10))
		for c := range 3 {
			for p := range cifarPlane {
				data = append(data, byte(i*7+c*50+p%cifarSide))
			}
		}
	}
	return data
}

// Ensure that planes become pixels and that labels stay with their pictures.
func TestCIFAR(t *testing.T) {
	m := &Images{Height: 32, Width: 32, Channels: 3}
	if err := m.readCIFAR(bytes.NewReader(records(12)), "made.bin", 12); err != nil {
		t.Fatal(err)
	}
	if m.Len() != 12 || m.Labels[11] != 1 {
		t.Fatalf("%d pictures, label %d of the last", m.Len(), m.Labels[11])
	}
	const i, y, x = 3, 5, 9
	at := i*m.Size() + (y*32+x)*3
	if got, want := m.Pixels[at:at+3], []byte{i*7 + x, i*7 + 50 + x, i*7 + 100 + x}; !bytes.Equal(got, want) {
		t.Errorf("pixel %d,%d of picture %d is %v, want %v", x, y, i, got, want)
	}
}

// Ensure that damage is named with its file and place.
func TestCIFARDamage(t *testing.T) {
	whole := records(3)
	wrong := slices.Clone(whole)
	wrong[2*cifarRecord] = 17
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"cut in a record":      {whole[:cifarRecord+100], "batch.bin ends at offset 3173, in record 1 of 3"},
		"cut between records":  {whole[:2*cifarRecord], "batch.bin ends at offset 6146, in record 2 of 3"},
		"empty":                {nil, "batch.bin ends at offset 0, in record 0 of 3"},
		"a label out of range": {wrong, "batch.bin: label 17 at offset 6146"},
		"too long":             {append(slices.Clone(whole), 1), "batch.bin has more data at offset 9219"},
	} {
		err := new(Images).readCIFAR(bytes.NewReader(c.data), "batch.bin", 3)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q in it", name, err, c.want)
		}
	}
}

// Ensure that the official names are found in a folder, in the folder of the archive,
// and that other versions and nothing at all are told apart.
func TestOpenCIFAR(t *testing.T) {
	dir := t.TempDir()
	source := Source{Name: "cifar10", Path: dir, Split: "test"}
	if _, err := Open(t.Context(), source); err == nil || !strings.Contains(err.Error(), "put cifar-10-binary.tar.gz") {
		t.Errorf("an empty folder: %v", err)
	}
	write(t, filepath.Join(dir, cifarFolder, "test_batch.bin"), records(cifarRecords))
	source.Size, source.Grey = 16, true
	m, err := Open(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	if m.Len() != cifarRecords || m.Height != 16 || m.Channels != 1 {
		t.Errorf("%d pictures of %d×%d×%d", m.Len(), m.Height, m.Width, m.Channels)
	}
	source.Path = filepath.Join(dir, cifarFolder)
	if _, err := Open(t.Context(), source); err != nil {
		t.Errorf("the inner folder: %v", err)
	}
	for _, name := range []string{"data_batch_1", "cifar-10-batches-py/data_batch_1", "cifar-10-python.tar.gz"} {
		python := t.TempDir()
		write(t, filepath.Join(python, name), []byte("pickle"))
		source.Path = python
		if _, err := Open(t.Context(), source); err == nil || !strings.Contains(err.Error(), "Python version") {
			t.Errorf("the Python version: %v", err)
		}
	}
	damaged := t.TempDir()
	write(t, filepath.Join(damaged, cifarArchive.Name), []byte("no archive"))
	source.Path = damaged
	if _, err := Open(t.Context(), source); err == nil || !strings.Contains(err.Error(), "want 170052171") {
		t.Errorf("a damaged archive: %v", err)
	}
}

// FuzzCIFAR looks for bytes on which the parser panics, or accepts what is no set.
func FuzzCIFAR(f *testing.F) {
	f.Add(records(2))
	f.Add(records(2)[:5000])
	f.Add([]byte{10})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &Images{Height: 32, Width: 32, Channels: 3}
		err := m.readCIFAR(bytes.NewReader(data), "fuzz", 2)
		good := len(data) == 2*cifarRecord && data[0] < 10 && data[cifarRecord] < 10
		if (err == nil) != good {
			t.Errorf("%d bytes: %v", len(data), err)
		}
		if err == nil && (m.Len() != 2 || len(m.Labels) != 2) {
			t.Errorf("%d pictures, %d labels", m.Len(), len(m.Labels))
		}
	})
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
