package torchfile_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/stein-rl/stein/interop/torchfile"
)

// archive is a file of torch.save with this pickle and these numbers.
func archive(t testing.TB, pickle, numbers []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, data := range map[string][]byte{"a/data.pkl": pickle, "a/data/0": numbers} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		f.Write(data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// pickleOf is what PyTorch itself wrote, out of a model of Stable-Baselines3.
func pickleOf(t testing.TB, model, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	return member(t, member(t, data, file), "archive/data.pkl")
}

func member(t testing.TB, archive []byte, name string) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// one is a dict of one tensor, x = [[1, 2], [3, 4]], as PyTorch 2.15 pickles it.
const one = "\x80\x02}q\x00X\x01\x00\x00\x00xq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04" +
	"X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x04tq\x07QK\x00K\x02K\x02\x86q\x08K\x02K\x01\x86q\t\x89ccollections\nOrderedDict\nq\n)Rq\x0btq\x0cRq\rs."

var numbers = []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40}

// Ensure that a tensor comes out as it is, transposed and cut ones too.
func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		old, now string
		shape    []int
		data     []float32
	}{
		"as it lies": {"", "", []int{2, 2}, []float32{1, 2, 3, 4}},
		"transposed": {"K\x02K\x01\x86q\t", "K\x01K\x02\x86q\t", []int{2, 2}, []float32{1, 3, 2, 4}},
		"one row":    {"K\x00K\x02K\x02\x86q\x08", "K\x02K\x01K\x02\x86q\x08", []int{1, 2}, []float32{3, 4}},
		"nothing":    {"K\x02K\x02\x86q\x08", "K\x00K\x02\x86q\x08", []int{0, 2}, []float32{}},
	} {
		data := archive(t, bytes.Replace([]byte(one), []byte(c.old), []byte(c.now), 1), numbers)
		all, err := torchfile.Read(bytes.NewReader(data), int64(len(data)))
		x, ok := all["x"]
		if err != nil || !ok || len(all) != 1 {
			t.Errorf("%s: %v, %v", name, all, err)
			continue
		}
		if !equal(x.Shape, c.shape) || !equal(x.Data, c.data) {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// FuzzRead: whatever the pickle, there is an error or tensors whose shapes hold.
func FuzzRead(f *testing.F) {
	f.Add([]byte(one), numbers)
	for _, file := range []string{"policy.pth", "pytorch_variables.pth"} {
		f.Add(pickleOf(f, "../sb3/testdata/tanh.zip", file), numbers)
	}
	f.Fuzz(func(t *testing.T, pickle, numbers []byte) {
		data := archive(t, pickle, numbers)
		all, err := torchfile.Read(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for name, x := range all {
			n := 1
			for _, size := range x.Shape {
				n *= size
			}
			if n != len(x.Data) {
				t.Errorf("%s: %d numbers of shape %v", name, len(x.Data), x.Shape)
			}
		}
	})
}
