package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"
)

// idx makes a file of bytes with these axes.
func idx(data []byte, axes ...uint32) []byte {
	file := []byte{0, 0, idxByte, byte(len(axes))}
	for _, a := range axes {
		file = binary.BigEndian.AppendUint32(file, a)
	}
	return append(file, data...)
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	if _, err := zip.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

const fashion = "testdata/fashion-mnist"

// Ensure that real files are read. The labels are the first of Fashion-MNIST as its
// README shows them: an ankle boot, then a T-shirt.
func TestFashionMNIST(t *testing.T) {
	m, err := Open(t.Context(), Source{Name: "fashion-mnist", Path: fashion})
	if err != nil {
		t.Fatal(err)
	}
	if m.Len() != 300 || m.Height != 28 || m.Width != 28 || m.Channels != 1 {
		t.Fatalf("%d pictures of %d×%d×%d", m.Len(), m.Height, m.Width, m.Channels)
	}
	if m.Labels[0] != 9 || m.Labels[1] != 0 {
		t.Errorf("labels %v", m.Labels[:2])
	}
	// The published mean of the training set is 0.286 of full brightness.
	var sum float64
	for _, p := range m.Pixels {
		sum += float64(p)
	}
	if mean := sum / 255 / float64(len(m.Pixels)); mean < 0.26 || mean > 0.31 {
		t.Errorf("mean brightness %.3f", mean)
	}
}

// Ensure that plain and zipped files give the same, and that damage is named.
func TestIDX(t *testing.T) {
	images, labels := idx([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 2, 2, 2), idx([]byte{3, 9}, 2)
	for name, c := range map[string]struct {
		images, labels []byte
		want           string // empty: no error
	}{
		"plain":            {images, labels, ""},
		"zipped":           {zipped(t, images), zipped(t, labels), ""},
		"cut header":       {images[:9], labels, "train-images-idx3-ubyte ends at offset 9 of 16"},
		"cut data":         {images[:20], labels, "train-images-idx3-ubyte ends at offset 20 of 24"},
		"cut zip":          {zipped(t, images)[:20], labels, "train-images-idx3-ubyte"},
		"too long":         {append(bytes.Clone(images), 0), labels, "has more data at offset 24"},
		"labels as images": {labels, labels, "starts with 00 00 08 01 at offset 0"},
		"another type":     {append([]byte{0, 0, 13, 3}, images[4:]...), labels, "starts with 00 00 0d 03"},
		"fewer labels":     {images, idx([]byte{3}, 1), "2 images in"},
		"a wrong label":    {images, idx([]byte{3, 200}, 2), "label 200 at offset 9"},
		"a huge header":    {idx(nil, 1<<31-1, 1<<31-1, 28), labels, "makes more than"},
		"no pixels":        {idx(nil, 2, 0, 0), labels, "images of 0×0"},
		"no images":        {idx(nil, 0, 2, 2), idx(nil, 0), "mnist "},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "train-images-idx3-ubyte"), c.images)
		write(t, filepath.Join(dir, "train-labels-idx1-ubyte"), c.labels)
		m, err := Open(t.Context(), Source{Name: "mnist", Path: dir})
		if c.want == "" {
			if err != nil || m.Len() != 2 || m.Labels[1] != 9 || m.Pixels[7] != 8 {
				t.Errorf("%s: %v, %v", name, m, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q in it", name, err, c.want)
		}
	}
	if _, err := Open(t.Context(), Source{Name: "mnist", Path: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "four files") {
		t.Errorf("an empty folder: %v", err)
	}
	half := t.TempDir()
	write(t, filepath.Join(half, "t10k-images-idx3-ubyte"), images)
	write(t, filepath.Join(half, "t10k-labels-idx1-ubyte"), labels)
	if _, err := Open(t.Context(), Source{Name: "mnist", Path: half}); err == nil || !strings.Contains(err.Error(), "no files of mnist's split train, only t10k-images-idx3-ubyte") {
		t.Errorf("the other split alone: %v", err)
	}
}

// Ensure that the set is found in every layout that it is handed out in, by the folder or
// by one of its files, and that torchvision's folder of another set is not taken for it.
func TestIDXLayouts(t *testing.T) {
	images, labels := idx([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 2, 2, 2), idx([]byte{3, 9}, 2)
	both := [2][]byte{images, labels}
	for name, c := range map[string]struct {
		set    string
		places [2]string
		data   [2][]byte
		path   string
		found  bool
	}{
		"dots":                    {"mnist", [2]string{"train-images.idx3-ubyte", "train-labels.idx1-ubyte"}, both, "", true},
		"unpacked, called .gz":    {"mnist", [2]string{"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"}, both, "", true},
		"a folder for each file":  {"mnist", [2]string{"train-images-idx3-ubyte/train-images-idx3-ubyte", "train-labels-idx1-ubyte/train-labels-idx1-ubyte"}, both, "", true},
		"torchvision":             {"mnist", [2]string{"MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"}, both, "", true},
		"torchvision, its set":    {"mnist", [2]string{"raw/train-images-idx3-ubyte", "raw/train-labels-idx1-ubyte"}, both, "", true},
		"torchvision, Fashion":    {"fashion-mnist", [2]string{"FashionMNIST/raw/train-images-idx3-ubyte", "FashionMNIST/raw/train-labels-idx1-ubyte"}, both, "", true},
		"torchvision, other set":  {"mnist", [2]string{"FashionMNIST/raw/train-images-idx3-ubyte", "FashionMNIST/raw/train-labels-idx1-ubyte"}, both, "", false},
		"one of the files":        {"mnist", [2]string{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}, both, "train-images-idx3-ubyte", true},
		"zipped, called unpacked": {"mnist", [2]string{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}, [2][]byte{zipped(t, images), zipped(t, labels)}, "", true},
	} {
		dir := t.TempDir()
		for i, place := range c.places {
			write(t, filepath.Join(dir, place), c.data[i])
		}
		m, err := Open(t.Context(), Source{Name: c.set, Path: filepath.Join(dir, c.path)})
		if c.found && (err != nil || m.Len() != 2 || m.Labels[1] != 9) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		if !c.found && err == nil {
			t.Errorf("%s: is read", name)
		}
	}
}

// FuzzIDX looks for bytes on which the parser panics, or accepts more or less than
// the header says.
func FuzzIDX(f *testing.F) {
	f.Add(idx([]byte{1, 2, 3, 4}, 1, 2, 2))
	f.Add(idx([]byte{1, 2, 3}, 1, 2, 2))
	f.Add(idx(nil, 1<<31, 1<<31, 1<<31))
	f.Add([]byte{0, 0, 8})
	f.Fuzz(func(t *testing.T, data []byte) {
		axes, got, err := readIDX(bytes.NewReader(data), "fuzz", 3)
		if err != nil {
			return
		}
		if len(got) != axes[0]*axes[1]*axes[2] || !bytes.Equal(got, data[16:]) {
			t.Errorf("axes %v, %d bytes of %d", axes, len(got), len(data))
		}
	})
}
