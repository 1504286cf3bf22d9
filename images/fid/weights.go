package fid

import (
	"fmt"
	"math"
	"os"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/interop/torchfile"
)

// weights are the arrays in a file of PyTorch's torch.save, by name.
type weights map[string]torchfile.Tensor

// readWeights reads a state dict.
func readWeights(path string) (weights, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("fid: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("fid: %w", err)
	}
	w, err := torchfile.Read(file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("fid: %s: %w", path, err)
	}
	return w, nil
}

func (w weights) get(name string, rank int) (torchfile.Tensor, error) {
	a, ok := w[name]
	if !ok || len(a.Shape) != rank {
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
		if v.Shape[0] != k.Shape[0] {
			return nil, nil, fmt.Errorf("fid: %s has %d values for %d channels", norm+name, v.Shape[0], k.Shape[0])
		}
		vectors[i] = v.Data
	}
	out, in, height, width := k.Shape[0], k.Shape[1], k.Shape[2], k.Shape[3]
	flat, shift := make([]float32, len(k.Data)), make([]float32, out)
	for o := range out {
		scale := float64(vectors[0][o]) / math.Sqrt(float64(vectors[3][o])+epsilon)
		shift[o] = float32(float64(vectors[1][o]) - scale*float64(vectors[2][o]))
		for i := range in {
			for at := range height * width {
				flat[(at*in+i)*out+o] = float32(scale * float64(k.Data[(o*in+i)*height*width+at]))
			}
		}
	}
	return tensors.FromFlatDataAndDimensions(flat, height, width, in, out), tensors.FromFlatDataAndDimensions(shift, out), nil
}
