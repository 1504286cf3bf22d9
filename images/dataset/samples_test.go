package dataset

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/sbinet/npyio/npy"

	"github.com/stein-rl/stein/runs/checkpoint"
)

// Ensure that arrays of NumPy and safetensors become the pictures that they hold, and
// that what cannot be pictures in [-1, 1] says so.
func TestOpenSamples(t *testing.T) {
	// numpy.save of uint8 [2, 1, 2, 3], byte by byte: the format of NumPy's NEP 1.
	header := "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 2, 3), }"
	header += strings.Repeat(" ", 118-len(header)-1) + "\n"
	bytesFile := append([]byte("\x93NUMPY\x01\x00\x76\x00"+header), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	safe := func(values any) []byte {
		var b bytes.Buffer
		store := model.NewStore()
		value, err := tensors.FromAnyValue(values)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.CreateVariable("/samples", value); err != nil {
			t.Fatal(err)
		}
		if err := checkpoint.WriteStore(&b, store); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	line := func(values []float32) []byte {
		var b bytes.Buffer
		if err := npy.Write(&b, values); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, c := range []struct {
		name string
		data []byte
		want string // of the error; empty: none
		size int
	}{
		{"a.npy", bytesFile, "", 6},
		{"cut.npy", bytesFile[:len(bytesFile)-3], "cut.npy", 0},
		{"cut-header.npy", bytesFile[:40], "cut-header.npy: the header is damaged or truncated", 0},
		{"empty.npy", nil, "ends in its header, at offset 0: it is truncated", 0},
		{"flat.npy", line([]float32{-1, 0, 1}), "has shape [3]", 0},
		{"b.safetensors", safe([][][]float32{{{-1, 0.5}, {0, 0.99}}}), "", 4},
		{"zero-to-one.safetensors", safe([][][]float32{{{0, 0.5}, {0, 1}}}), "values from 0 to 1", 0},
		{"bytes-as-floats.safetensors", safe([][][]float32{{{-1, 255}, {0, 1}}}), "to 255", 0},
		{"doubles.safetensors", safe([][][]float64{{{-1, 0}}}), "want uint8 or float32", 0},
		{"x.txt", nil, "neither a folder", 0},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		write(t, path, c.data)
		m, err := OpenSamples(t.Context(), path, nil)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v; want %q in it", c.name, err, c.want)
			}
			continue
		}
		if err != nil || m.Size() != c.size {
			t.Fatalf("%s: %v, %v", c.name, m, err)
		}
		if c.name == "a.npy" && (m.Len() != 2 || m.Pixels[11] != 12) || c.name == "b.safetensors" && !bytes.Equal(m.Pixels, []byte{0, 192, 128, 254}) {
			t.Errorf("%s: %v", c.name, m.Pixels)
		}
	}
}
