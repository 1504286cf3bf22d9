// Package torchfile reads tensors from files written by PyTorch's torch.save, in its zip
// format since version 1.6 and in the one before. It runs no code and accepts only the
// classes that tensors consist of.
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

// A Tensor is an array of numbers in row-major order.
type Tensor struct {
	Shape []int // empty for a scalar
	Data  []float32
}

const (
	maxPickle  = 64 << 20 // limit on the pickle
	maxNumbers = 1 << 28  // limit on all tensors together: 1 GiB
)

// Read returns the tensors in a file of size bytes by name. The file must hold a dict,
// such as a module's state_dict; other values in it are ignored. float64 and int64 are
// rounded to float32.
func Read(in io.ReaderAt, size int64) (tensors map[string]Tensor, err error) {
	defer func() {
		if p := recover(); p != nil { // gopickle panics if a key is not a string
			err = fmt.Errorf("torchfile: damaged: %v", p)
		}
	}()
	head := make([]byte, min(size, int64(len(legacyMagic))))
	if _, err := in.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("torchfile: %w", err)
	}
	r := &reader{storages: map[string]*storage{}}
	if string(head) == legacyMagic {
		tensors, err = r.legacy(in, size)
	} else {
		tensors, err = r.archive(in, size)
	}
	if err != nil {
		return nil, fmt.Errorf("torchfile: %w", err)
	}
	return tensors, nil
}

// archive reads the zip format.
func (r *reader) archive(in io.ReaderAt, size int64) (map[string]Tensor, error) {
	archive, err := zip.NewReader(in, size)
	if err != nil {
		return nil, fmt.Errorf("not a file of torch.save: %w", err)
	}
	r.records = map[string]*zip.File{}
	for _, f := range archive.File {
		// All files are in one folder, named after the original file.
		_, inside, _ := strings.Cut(f.Name, "/")
		r.records[inside] = f
	}
	if order, ok := r.records["byteorder"]; ok {
		text, err := entry(order, 16)
		if err == nil && string(text) != "little" {
			err = fmt.Errorf("byte order %q, want little", text)
		}
		if err != nil {
			return nil, err
		}
	}
	pickled, ok := r.records["data.pkl"]
	if !ok {
		return nil, errors.New("data.pkl is missing in the archive")
	}
	text, err := entry(pickled, maxPickle)
	if err != nil {
		return nil, err
	}
	all, err := r.unpickle(text)
	if err != nil {
		return nil, fmt.Errorf("data.pkl: %w", err)
	}
	return r.named(all)
}

// entry reads a file of at most limit bytes from an archive. It rejects compressed files:
// PyTorch does not compress, and a small file could become a large one.
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
	data, err := io.ReadAll(in) // the checksum is verified at the end
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return data, nil
}

// A reader builds the pickled tensors from a file's storages.
type reader struct {
	records  map[string]*zip.File // nil: the legacy format, where storages follow the pickles
	storages map[string]*storage  // by key, each read once
	bytes    int64                // of all storages so far
	numbers  int                  // of all tensors so far
}

func (r *reader) unpickle(text []byte) (any, error) {
	if _, err := checkPickle(text); err != nil {
		return nil, err
	}
	u := pickle.NewUnpickler(bytes.NewReader(text))
	u.FindClass = r.class
	u.PersistentLoad = r.storage
	return u.Load()
}

// class returns the classes that tensors consist of, and rejects others.
func (r *reader) class(module, name string) (any, error) {
	full := module + "." + name
	switch full {
	case "torch._utils._rebuild_tensor_v2":
		return callable(rebuild), nil
	case "torch._utils._rebuild_parameter":
		return callable(func(args ...any) (any, error) {
			if len(args) < 1 {
				return nil, errors.New("parameter has no arguments")
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

// named builds the tensors of a dict.
func (r *reader) named(all any) (map[string]Tensor, error) {
	tensors := map[string]Tensor{}
	var errs error
	pick := func(key, value any) {
		name, isName := key.(string)
		v, isTensor := value.(*view)
		if !isName || !isTensor || errs != nil {
			return
		}
		t, err := r.tensor(v)
		if err != nil {
			errs = fmt.Errorf("%s: %w", name, err)
			return
		}
		tensors[name] = t
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
		return nil, errors.New("the file holds no dict of tensors")
	}
	return tensors, errs
}
