package fid

import (
	"context"
	"fmt"
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/images/dataset"
)

// A network is an Extractor: a graph with its weights in a store.
type network struct {
	name, metric string
	key          string // identifies weights and preprocessing in the cache
	dim          int
	side         int // images are scaled to side×side
	batch        int
	store        *model.Store
	backend      compute.Backend
	// features maps images of side×side with values in [0, 255], [B, side, side, 3], to
	// [B, dim].
	features func(l layers, x *Node) *Node

	execs map[[3]int]*model.Exec // by the images' shape
}

var _ Extractor = (*network)(nil)

func (n *network) Name() string   { return n.name }
func (n *network) Metric() string { return n.metric }
func (n *network) Dim() int       { return n.dim }
func (n *network) cacheKey() string {
	return n.key
}

// Features runs the images through the network in batches. It is not safe for concurrent
// use.
func (n *network) Features(ctx context.Context, images *dataset.Images, progress func(done, total int)) (Features, error) {
	exec, err := n.exec(images)
	if err != nil {
		return Features{}, err
	}
	total, size := images.Len(), images.Size()
	f := Features{N: total, Dim: n.dim, Values: make([]float32, 0, total*n.dim)}
	batch := make([]byte, n.batch*size)
	for at := 0; at < total; at += n.batch {
		if err := ctx.Err(); err != nil {
			return Features{}, err
		}
		have := min(n.batch, total-at)
		copy(batch, images.Pixels[at*size:(at+have)*size]) // an incomplete last batch keeps the old rows
		in := tensors.FromFlatDataAndDimensions(batch, n.batch, images.Height, images.Width, images.Channels)
		out, err := exec.Call(in)
		in.FinalizeAll()
		if err != nil {
			return Features{}, fmt.Errorf("fid: %s: %w", n.name, err)
		}
		values, err := tensors.CopyFlatData[float32](out[0])
		out[0].FinalizeAll()
		if err != nil {
			return Features{}, fmt.Errorf("fid: %s: %w", n.name, err)
		}
		f.Values = append(f.Values, values[:have*n.dim]...)
		if progress != nil {
			progress(at+have, total)
		}
	}
	return f, nil
}

// exec compiles the network for images of a shape, once per shape.
func (n *network) exec(images *dataset.Images) (*model.Exec, error) {
	shape := [3]int{images.Height, images.Width, images.Channels}
	if e, ok := n.execs[shape]; ok {
		return e, nil
	}
	if images.Channels != 1 && images.Channels != 3 {
		return nil, fmt.Errorf("fid: images of %d channels: want 1 or 3", images.Channels)
	}
	var exec *model.Exec
	var err error
	tried := engine.Try(func() {
		exec, err = model.NewExec(n.backend, n.store, func(scope *model.Scope, x *Node) *Node {
			x = ConvertDType(x, dtypes.Float32)
			if shape[2] == 1 {
				x = BroadcastToDims(x, n.batch, shape[0], shape[1], 3)
			}
			return n.features(layers{scope, x.Graph()}, resize(x, n.side))
		})
		if err == nil {
			_, err = exec.Compile(shapes.Make(dtypes.Uint8, n.batch, shape[0], shape[1], shape[2]))
		}
	})
	if tried != nil {
		err = tried
	}
	if err != nil {
		return nil, fmt.Errorf("fid: compiling %s: %w", n.name, err)
	}
	n.execs[shape] = exec
	return exec, nil
}

// resize is bilinear without antialiasing, [B, H, W, C] -> [B, side, side, C]: PyTorch's
// interpolate(mode="bilinear", align_corners=False), as used for FID.
func resize(x *Node, side int) *Node {
	g, d := x.Graph(), x.Shape().Dimensions
	if d[1] != side {
		x = Einsum("bhwc,yh->bywc", x, Const(g, bilinear(d[1], side)))
	}
	if d[2] != side {
		x = Einsum("bhwc,xw->bhxc", x, Const(g, bilinear(d[2], side)))
	}
	return x
}

// bilinear is the interpolation matrix [to, from] along one axis.
func bilinear(from, to int) [][]float32 {
	m := make([][]float32, to)
	for i := range m {
		m[i] = make([]float32, from)
		at := max(0, (float64(i)+0.5)*float64(from)/float64(to)-0.5)
		low := min(int(at), from-1)
		part := float32(at - math.Floor(at))
		m[i][low] += 1 - part
		m[i][min(low+1, from-1)] += part
	}
	return m
}

// layers builds a network's layers from the weights in its store.
type layers struct {
	scope *model.Scope
	g     *Graph
}

// put stores a convolution merged with its normalisation, for layers.conv.
func put(store *model.Store, w weights, name, conv, norm string) error {
	kernel, bias, err := w.normalised(conv, norm)
	if err != nil {
		return err
	}
	for part, value := range map[string]*tensors.Tensor{"kernel": kernel, "bias": bias} {
		v, err := store.CreateVariable(model.ScopeSeparator+name+model.ScopeSeparator+part, value)
		if err != nil {
			return fmt.Errorf("fid: %w", err)
		}
		v.Trainable = false
	}
	return nil
}

// conv is a convolution of NHWC images with zero padding, pad at each end of both axes.
func (l layers) conv(x *Node, name string, stride int, pad [2][2]int) *Node {
	at := l.scope.At("%s", name)
	kernel, bias := at.GetVariable("kernel").NodeValue(l.g), at.GetVariable("bias").NodeValue(l.g)
	in := x.Shape().Dim(3)
	if kernel.Shape().Dim(2) == 1 && in > 1 {
		x = depthwise(x, kernel, stride, pad)
	} else if kernel.Shape().Dim(0) == 1 && kernel.Shape().Dim(1) == 1 && stride == 1 { // a matrix product
		d := x.Shape().Dimensions
		x = Reshape(Dot(Reshape(x, -1, in), Reshape(kernel, in, -1)).Product(), d[0], d[1], d[2], -1)
	} else {
		x = Convolve(x, kernel).Strides(stride).PaddingPerDim([][2]int{pad[0], pad[1]}).Done()
	}
	return Add(x, ExpandLeftToRank(bias, 4))
}

// depthwise convolves each channel separately, kernel [k, k, 1, C], as the sum of k²
// shifted slices of x times the kernel's weights. XLA's grouped convolution takes about
// ten times as long on CPUs (docs/fid.md, speed).
func depthwise(x, kernel *Node, stride int, pad [2][2]int) *Node {
	x = Pad(x, ScalarZero(x.Graph(), x.DType()), PadAxis{}, PadAxis{Start: pad[0][0], End: pad[0][1]}, PadAxis{Start: pad[1][0], End: pad[1][1]}, PadAxis{})
	k := kernel.Shape().Dim(0)
	shifted := func(by, size int) SliceAxisSpec {
		return AxisRange(by, by+(size-k)/stride*stride+1).Stride(stride)
	}
	var sum *Node
	for i := range k {
		for j := range k {
			part := Slice(x, AxisRange(), shifted(i, x.Shape().Dim(1)), shifted(j, x.Shape().Dim(2)), AxisRange())
			part = Mul(part, Slice(kernel, AxisElem(i), AxisElem(j)))
			if sum == nil {
				sum = part
			} else {
				sum = Add(sum, part)
			}
		}
	}
	return sum
}

// around pads all sides equally.
func around(n int) [2][2]int { return [2][2]int{{n, n}, {n, n}} }

// same is TensorFlow's padding: the output has size ⌈size/stride⌉, and an odd padding is
// longer at the end.
func same(size, kernel, stride int) [2][2]int {
	all := max(0, ((size+stride-1)/stride-1)*stride+kernel-size)
	one := [2]int{all / 2, all - all/2}
	return [2][2]int{one, one}
}
