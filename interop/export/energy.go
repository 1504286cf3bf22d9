package export

import (
	"fmt"
	"io"

	"github.com/stein-rl/stein/images/ebm"
)

// WriteEnergyONNX writes an image model's f as a model with the input
//
//	images [N, H, W, C]  values in [−1, 1]: a byte b is (b + 0.5)/128 − 1
//
// and the output
//
//	energy [N]  f, larger means more likely: p ∝ exp(f/τ)
func WriteEnergyONNX(out io.Writer, l ebm.Layers, metadata map[string]string) error {
	n := &energyNetwork{layers: l}
	n.named = "energy"
	n.shaped(graphInput, "images", l.Shape.Height, l.Shape.Width, l.Shape.Channels)
	f, err := n.f("images")
	if err != nil {
		return err
	}
	n.add("Identity", "energy", nil, f)
	n.end(graphOutput, "energy", 0)
	return n.write(out, metadata)
}

// An energyNetwork builds ebm's f in ONNX's layout, [N, C, H, W].
type energyNetwork struct {
	network
	layers ebm.Layers
	next   int // index of the next kernel
	err    error
}

func (n *energyNetwork) f(x string) (string, error) {
	l := n.layers
	p, side, in := l.Patch, l.Shape.Height/l.Patch, l.Shape.Channels
	if p > 1 { // turn squares of side p into channels
		x = n.reshape(x, -1, side, p, l.Shape.Width/p, p, in)
		x = n.transpose(x, 0, 1, 3, 2, 4, 5)
		x = n.reshape(x, -1, side, l.Shape.Width/p, p*p*in)
	}
	h := n.transpose(x, 0, 3, 1, 2)
	in *= p * p
	for level, width := range l.Channels {
		for range l.Blocks {
			if l.Kind == "residual" {
				inner := n.conv(n.swish(n.conv(n.swish(h))))
				if in != width {
					h = n.conv(h)
				}
				h = n.op("Add", h, inner)
			} else {
				h = n.swish(n.conv(h))
			}
			in = width
		}
		if level < len(l.Channels)-1 {
			h = n.opLists("AveragePool", map[string][]int{"kernel_shape": {2, 2}, "strides": {2, 2}}, h)
			side /= 2
		}
	}
	if l.Kind == "residual" {
		h = n.swish(h)
	}
	h = n.reshape(n.transpose(h, 0, 2, 3, 1), -1, side*side*in)
	if l.Hidden != nil {
		h = n.swish(n.op("MatMul", h, n.array(Tensor{"hidden", l.Hidden.Shape, l.Hidden.Data})))
	}
	f := n.op("MatMul", h, n.array(Tensor{"head", l.Head.Shape, l.Head.Data}))
	return n.reshape(f, -1), n.err
}

// conv adds the next convolution. Its kernel is transposed from [k, k, in, out] to
// [out, in, k, k].
func (n *energyNetwork) conv(x string) string {
	if n.next >= len(n.layers.Kernels) {
		n.err = fmt.Errorf("export: the energy needs more than its %d kernels", len(n.layers.Kernels))
		return x
	}
	w := n.layers.Kernels[n.next]
	k, in, out := w.Shape[0], w.Shape[2], w.Shape[3]
	t := Tensor{Name: fmt.Sprintf("kernel_%d", n.next), Shape: []int{out, in, k, k}, Data: make([]float32, len(w.Data))}
	for i, v := range w.Data {
		place, c, o := i/(in*out), i/out%in, i%out
		t.Data[(o*in+c)*k*k+place] = v
	}
	n.next++
	pad := k / 2
	return n.opLists("Conv", map[string][]int{"kernel_shape": {k, k}, "pads": {pad, pad, pad, pad}}, x, n.array(t))
}

func (n *energyNetwork) swish(x string) string { return n.op("Mul", x, n.op("Sigmoid", x)) }
