package torchfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/nlpodyssey/gopickle/types"
)

// A kind is a number type of a storage.
type kind struct {
	bytes  int
	decode func([]byte) float32
}

var little = binary.LittleEndian

var kinds = map[string]*kind{
	"torch.FloatStorage":  {4, func(b []byte) float32 { return math.Float32frombits(little.Uint32(b)) }},
	"torch.DoubleStorage": {8, func(b []byte) float32 { return float32(math.Float64frombits(little.Uint64(b))) }},
	"torch.LongStorage":   {8, func(b []byte) float32 { return float32(int64(little.Uint64(b))) }},
}

// A storage is the data that one or more tensors are views of.
type storage struct {
	kind    *kind
	numbers int
	data    []byte // nil: not read yet
}

// fill gives the storage its bytes.
func (s *storage) fill(key string, data []byte) error {
	if s.numbers > len(data)/s.kind.bytes {
		return fmt.Errorf("storage %s has %d bytes, want %d numbers of %d", key, len(data), s.numbers, s.kind.bytes)
	}
	s.data = data[:s.numbers*s.kind.bytes]
	return nil
}

// A view is a pickled tensor.
type view struct {
	*storage
	offset        int
	shape, stride []int
}

// storage returns the storage with a pickled id: ("storage", kind, key, device, numbers).
func (r *reader) storage(id any) (any, error) {
	tuple, ok := id.(*types.Tuple)
	if !ok || tuple.Len() < 5 {
		return nil, errors.New("storage has no type or key")
	}
	if tuple.Len() > 5 && tuple.Get(5) != nil {
		return nil, errors.New("storage that is part of another one, which is not supported")
	}
	what, _ := tuple.Get(0).(string)
	k, isKind := tuple.Get(1).(*kind)
	key, isKey := tuple.Get(2).(string)
	numbers, isCount := tuple.Get(4).(int)
	if what != "storage" || !isKind || !isKey || !isCount || numbers < 0 {
		return nil, errors.New("storage with an unsupported kind, key or count")
	}
	if s, ok := r.storages[key]; ok {
		if s.kind != k {
			return nil, fmt.Errorf("storage %s is used with two number types", key)
		}
		return s, nil
	}
	s := &storage{kind: k, numbers: numbers}
	r.storages[key] = s
	if r.records == nil {
		return s, nil
	}
	f, ok := r.records["data/"+key]
	if !ok {
		return nil, fmt.Errorf("data/%s is missing in the archive", key)
	}
	data, err := entry(f, 8*maxNumbers-r.bytes)
	if err != nil {
		return nil, err
	}
	r.bytes += int64(len(data))
	return s, s.fill(key, data)
}

// rebuild is _rebuild_tensor_v2(storage, offset, size, stride, …).
func rebuild(args ...any) (any, error) {
	if len(args) < 4 {
		return nil, fmt.Errorf("tensor with %d arguments", len(args))
	}
	s, isStorage := args[0].(*storage)
	offset, isOffset := args[1].(int)
	shape, isShape := integers(args[2])
	stride, isStride := integers(args[3])
	if !isStorage || !isOffset || !isShape || !isStride || len(shape) != len(stride) || offset < 0 {
		return nil, errors.New("tensor without storage, offset, shape and stride")
	}
	return &view{s, offset, shape, stride}, nil
}

// tensor copies a view's numbers out of its storage.
func (r *reader) tensor(v *view) (t Tensor, err error) {
	s, shape, stride := v.storage, v.shape, v.stride
	n, last := 1, v.offset // of numbers; place of the last
	for i, size := range shape {
		step := stride[i]
		if size < 0 || step < 0 || size > maxNumbers || step > maxNumbers {
			return t, fmt.Errorf("tensor with invalid shape %v and stride %v", shape, stride)
		}
		if n *= size; n > maxNumbers {
			return t, fmt.Errorf("tensor with invalid shape %v", shape)
		}
		last += (size - 1) * step
	}
	count := len(s.data) / s.kind.bytes
	// A tensor with more numbers than its storage would repeat them: a small file could
	// make a large tensor.
	if n > 0 && (last >= count || n > count) {
		return t, fmt.Errorf("tensor of shape %v, stride %v and offset %d exceeds its storage of %d numbers", shape, stride, v.offset, count)
	}
	if r.numbers += n; r.numbers > maxNumbers {
		return t, fmt.Errorf("more than %d numbers in total", maxNumbers)
	}
	t = Tensor{Shape: shape, Data: make([]float32, n)}
	at := make([]int, len(shape))
	for i := range t.Data {
		place := v.offset
		for axis, index := range at {
			place += index * stride[axis]
		}
		t.Data[i] = s.kind.decode(s.data[place*s.kind.bytes:])
		for axis := len(at) - 1; axis >= 0; axis-- {
			if at[axis]++; at[axis] < shape[axis] {
				break
			}
			at[axis] = 0
		}
	}
	return t, nil
}

func integers(x any) ([]int, bool) {
	tuple, ok := x.(*types.Tuple)
	if !ok || tuple.Len() > 16 {
		return nil, false
	}
	all := make([]int, tuple.Len())
	for i := range all {
		if all[i], ok = tuple.Get(i).(int); !ok {
			return nil, false
		}
	}
	return all, true
}
