package dataset

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/sbinet/npyio/npy"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/runs/checkpoint"

	"github.com/stein-rl/stein/internal/regular"
)

// OpenSamples reads generated images: a folder of PNG or JPEG files, or an array [N, H,
// W, C] or [N, H, W] in a NumPy (.npy) or safetensors file with nothing else. Arrays hold
// bytes, or floats in [-1, 1].
func OpenSamples(ctx context.Context, path string, progress func(done, total int64)) (*Images, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	if info.IsDir() {
		return Open(ctx, Source{Name: "folder", Path: path, Progress: progress})
	}
	file, err := regular.Open(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer file.Close()
	var values any
	var shape []int
	switch strings.ToLower(filepath.Ext(path)) {
	case ".npy":
		values, shape, err = readNumPy(bufio.NewReader(file), info.Size())
	case ".safetensors":
		values, shape, err = readOnlyTensor(bufio.NewReader(file), info.Size())
	case ".npz":
		return nil, fmt.Errorf("dataset: %s is an archive of arrays: save the images' array with numpy.save, as .npy", path)
	default:
		return nil, fmt.Errorf("dataset: %s is neither a folder of images nor .npy nor .safetensors", path)
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: %s: %w", path, err)
	}
	return fromArray(path, values, shape)
}

// fromArray accepts bytes or float32.
func fromArray(path string, values any, shape []int) (*Images, error) {
	if len(shape) == 3 {
		shape = append(shape, 1)
	}
	if len(shape) != 4 || slices.Min(shape) < 1 || shape[3] != 1 && shape[3] != 3 {
		return nil, fmt.Errorf("dataset: %s has shape %v: want [N, H, W] or [N, H, W, C] with C 1 or 3", path, shape)
	}
	switch v := values.(type) {
	case []byte:
		return &Images{Name: path, Height: shape[1], Width: shape[2], Channels: shape[3], Pixels: v}, nil
	case []float32:
		if lo, hi := slices.Min(v), slices.Max(v); lo < -2 || hi > 2 || lo >= 0 {
			return nil, fmt.Errorf("dataset: %s has values from %g to %g: want bytes, or floats in [-1, 1]", path, lo, hi)
		}
		return FromFloats(path, v, shape[1], shape[2], shape[3])
	default:
		return nil, fmt.Errorf("dataset: %s: want bytes or 32-bit floats", path)
	}
}

func readNumPy(in io.Reader, size int64) (values any, shape []int, err error) {
	var r *npy.Reader
	// The package panics on some damaged headers.
	if tried := engine.Try(func() { r, err = npy.NewReader(in) }); tried != nil {
		err = errors.New("the header is damaged or truncated")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("ends in its header, at offset %d: it is truncated", size)
	}
	if err != nil {
		return nil, nil, err
	}
	header := r.Header.Descr
	if header.Fortran {
		return nil, nil, fmt.Errorf("the array is in Fortran order: save numpy.ascontiguousarray of it")
	}
	var product int64 = 1
	for _, d := range header.Shape {
		if d < 0 || d > 0 && product > size/int64(d) { // every value has at least one byte
			return nil, nil, fmt.Errorf("shape %v does not fit into %d bytes: the file is truncated", header.Shape, size)
		}
		product *= int64(d)
	}
	// Allocate the full size: the package reads a truncated file as a shorter array.
	switch header.Type {
	case "|u1", "<u1", "u1":
		v := make([]byte, product)
		_, err = io.ReadFull(in, v)
		values = v
	case "<f4", "f4":
		v := make([]float32, product)
		err = binary.Read(in, binary.LittleEndian, v)
		values = v
	default:
		err = fmt.Errorf("numbers of type %s: want uint8 or float32", header.Type)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("ends at offset %d, before the last of its %v numbers: it is truncated", size, header.Shape)
	}
	return values, header.Shape, err
}

func readOnlyTensor(in io.Reader, size int64) (values any, shape []int, err error) {
	all, err := checkpoint.ReadTensors(in, size)
	if err != nil {
		return nil, nil, err
	}
	if len(all) != 1 {
		return nil, nil, fmt.Errorf("%d arrays: want one", len(all))
	}
	for _, t := range all {
		shape = t.Shape().Dimensions
		switch t.DType() {
		case dtypes.Uint8:
			values, err = tensors.CopyFlatData[uint8](t)
		case dtypes.Float32:
			values, err = tensors.CopyFlatData[float32](t)
		default:
			err = fmt.Errorf("numbers of type %s: want uint8 or float32", t.DType())
		}
	}
	return values, shape, err
}
