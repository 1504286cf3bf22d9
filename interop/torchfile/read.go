// Package torchfile reads the tensors of files that PyTorch's torch.save wrote, in
// the zip format that it has had since version 1.6. No code is run and no class is
// looked up but those that tensors are made of.
package torchfile

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
)

// A Tensor is an array of numbers, row after row.
type Tensor struct {
	Shape []int // none: a scalar
	Data  []float32
}

const (
	maxPickle  = 64 << 20 // bytes of the part without numbers
	maxNumbers = 1 << 28  // of all tensors together: 1 GiB
)

// Read gives the tensors of a file of size bytes by their names: a dict such as a
// module's state_dict. What else the dict has is left out. Numbers of float64 and
// int64 are rounded to float32.
func Read(in io.ReaderAt, size int64) (tensors map[string]Tensor, err error) {
	defer func() {
		if p := recover(); p != nil { // gopickle panics on a key that is not a string
			err = fmt.Errorf("torchfile: damaged: %v", p)
		}
	}()
	archive, err := zip.NewReader(in, size)
	if err != nil {
		return nil, fmt.Errorf("torchfile: not a file of torch.save (PyTorch 1.6 or newer): %w", err)
	}
	r := &reader{records: map[string]*zip.File{}, storages: map[string]*storage{}}
	for _, f := range archive.File {
		// All lies in one folder, which has the name that the file once had.
		_, inside, _ := strings.Cut(f.Name, "/")
		r.records[inside] = f
	}
	if order, ok := r.records["byteorder"]; ok {
		text, err := entry(order, 16)
		if err == nil && string(text) != "little" {
			err = fmt.Errorf("byte order %q, want little", text)
		}
		if err != nil {
			return nil, fmt.Errorf("torchfile: %w", err)
		}
	}
	pickled, ok := r.records["data.pkl"]
	if !ok {
		return nil, errors.New("torchfile: the archive has no data.pkl")
	}
	text, err := entry(pickled, maxPickle)
	if err != nil {
		return nil, fmt.Errorf("torchfile: %w", err)
	}
	all, err := r.unpickle(text)
	if err != nil {
		return nil, fmt.Errorf("torchfile: data.pkl: %w", err)
	}
	return named(all)
}

// entry reads a file of an archive that has at most limit bytes. PyTorch compresses
// nothing, so that no small file becomes a large one.
func entry(f *zip.File, limit int64) ([]byte, error) {
	if f.Method != zip.Store || f.UncompressedSize64 != f.CompressedSize64 {
		return nil, fmt.Errorf("%s is compressed; PyTorch does not compress", f.Name)
	}
	if f.UncompressedSize64 > uint64(limit) {
		return nil, fmt.Errorf("%s has %d bytes, the limit is %d", f.Name, f.UncompressedSize64, limit)
	}
	in, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	defer in.Close()
	data, err := io.ReadAll(in) // its end is where the sum is checked
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return data, nil
}

// A reader builds what a pickle says out of an archive's storages.
type reader struct {
	records  map[string]*zip.File
	storages map[string]*storage // by key, each read once
	bytes    int64               // of all storages so far
	numbers  int                 // of all tensors so far
}

func (r *reader) unpickle(text []byte) (any, error) {
	if err := checkPickle(text); err != nil {
		return nil, err
	}
	u := pickle.NewUnpickler(bytes.NewReader(text))
	u.FindClass = r.class
	u.PersistentLoad = r.storage
	return u.Load()
}

// class finds what tensors are made with, and nothing else.
func (r *reader) class(module, name string) (any, error) {
	full := module + "." + name
	switch full {
	case "torch._utils._rebuild_tensor_v2":
		return callable(r.tensor), nil
	case "torch._utils._rebuild_parameter":
		return callable(func(args ...any) (any, error) {
			if len(args) < 1 {
				return nil, errors.New("a parameter without arguments")
			}
			return args[0], nil
		}), nil
	}
	if k, ok := kinds[full]; ok {
		return k, nil
	}
	return nil, fmt.Errorf("class %s is not allowed; a file may only hold tensors", full)
}

type callable func(args ...any) (any, error)

var _ types.Callable = callable(nil)

func (c callable) Call(args ...any) (any, error) { return c(args...) }

// named picks the tensors of a dict.
func named(all any) (map[string]Tensor, error) {
	tensors := map[string]Tensor{}
	pick := func(key, value any) {
		name, isName := key.(string)
		t, isTensor := value.(*Tensor)
		if isName && isTensor {
			tensors[name] = *t
		}
	}
	switch d := all.(type) {
	case *types.OrderedDict:
		for _, e := range d.Map {
			pick(e.Key, e.Value)
		}
	case *types.Dict:
		for _, e := range *d {
			pick(e.Key, e.Value)
		}
	default:
		return nil, fmt.Errorf("torchfile: the file holds a %T, want a dict of tensors", all)
	}
	return tensors, nil
}
