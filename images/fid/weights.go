package fid

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/nlpodyssey/gopickle/pytorch"
	"github.com/nlpodyssey/gopickle/types"

	"github.com/stein-rl/stein/engine"
)

// weights are the arrays in a file of PyTorch's torch.save, by name.
type weights map[string]array

type array struct {
	shape []int
	data  []float32
}

// readWeights reads a state dict. It trusts the sizes in the file, so it must only be
// called for files with verified checksums.
func readWeights(path string) (weights, error) {
	var object any
	var err error
	// gopickle panics on some malformed files.
	if tried := engine.Try(func() { object, err = pytorch.Load(path) }); tried != nil {
		err = tried
	}
	if err != nil {
		return nil, fmt.Errorf("fid: %s: %w", path, err)
	}
	w := weights{}
	add := func(key, value any) error {
		name, isName := key.(string)
		tensor, isTensor := value.(*pytorch.Tensor)
		if !isName || !isTensor {
			return fmt.Errorf("fid: %s: %.40v is no tensor: want a dictionary of tensors", path, key)
		}
		source, ok := tensor.Source.(*pytorch.FloatStorage)
		if !ok {
			return nil // a batch normalisation counter
		}
		a, err := contiguous(source.Data, tensor)
		if err != nil {
			return fmt.Errorf("fid: %s: %s: %w", path, name, err)
		}
		w[name] = a
		return nil
	}
	switch d := object.(type) {
	case *types.OrderedDict:
		for e := d.List.Front(); e != nil; e = e.Next() {
			entry := e.Value.(*types.OrderedDictEntry)
			if err := add(entry.Key, entry.Value); err != nil {
				return nil, err
			}
		}
	case *types.Dict:
		for _, entry := range *d {
			if err := add(entry.Key, entry.Value); err != nil {
				return nil, err
			}
		}
	default:
		return nil, fmt.Errorf("fid: %s has no dictionary of tensors", path)
	}
	return w, nil
}

// contiguous is a tensor in row-major order, from a storage that may have another order
// (such as TensorFlow's, in converted weights).
func contiguous(data []float32, t *pytorch.Tensor) (array, error) {
	size, last := 1, t.StorageOffset // place of the last value
	bad := t.StorageOffset < 0 || len(t.Stride) != len(t.Size)
	for i := 0; i < len(t.Size) && !bad; i++ {
		bad = t.Size[i] < 1 || t.Size[i] > len(data)/size || t.Stride[i] < 0 || t.Stride[i] > len(data)
		size *= max(1, t.Size[i])
		last += (t.Size[i] - 1) * t.Stride[i]
	}
	if bad || last >= len(data) {
		return array{}, fmt.Errorf("shape %v with strides %v and offset %d exceeds its storage of %d", t.Size, t.Stride, t.StorageOffset, len(data))
	}
	a := array{t.Size, make([]float32, size)}
	for i := range a.data {
		at, rest := t.StorageOffset, i
		for axis := len(t.Size) - 1; axis >= 0; axis-- {
			at += rest % t.Size[axis] * t.Stride[axis]
			rest /= t.Size[axis]
		}
		a.data[i] = data[at]
	}
	return a, nil
}

func (w weights) get(name string, rank int) (array, error) {
	a, ok := w[name]
	if !ok || len(a.shape) != rank {
		return a, fmt.Errorf("fid: the weights have no %s of %d axes: they belong to another network", name, rank)
	}
	return a, nil
}

// normalised merges a convolution with the batch normalisation after it: its kernel, [h,
// w, in, out] from PyTorch's [out, in, h, w], and its bias, [out].
func (w weights) normalised(conv, norm string) (kernel, bias *tensors.Tensor, err error) {
	const epsilon = 1e-3 // of both networks' normalisations
	k, err := w.get(conv+".weight", 4)
	if err != nil {
		return nil, nil, err
	}
	var vectors [4][]float32
	for i, name := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
		v, err := w.get(norm+name, 1)
		if err != nil {
			return nil, nil, err
		}
		if v.shape[0] != k.shape[0] {
			return nil, nil, fmt.Errorf("fid: %s has %d values for %d channels", norm+name, v.shape[0], k.shape[0])
		}
		vectors[i] = v.data
	}
	out, in, height, width := k.shape[0], k.shape[1], k.shape[2], k.shape[3]
	flat, shift := make([]float32, len(k.data)), make([]float32, out)
	for o := range out {
		scale := float64(vectors[0][o]) / math.Sqrt(float64(vectors[3][o])+epsilon)
		shift[o] = float32(float64(vectors[1][o]) - scale*float64(vectors[2][o]))
		for i := range in {
			for at := range height * width {
				flat[(at*in+i)*out+o] = float32(scale * float64(k.data[(o*in+i)*height*width+at]))
			}
		}
	}
	return tensors.FromFlatDataAndDimensions(flat, height, width, in, out), tensors.FromFlatDataAndDimensions(shift, out), nil
}
