package ebm

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// conv is a convolution of x [N, H, W, C] with kernel [k, k, C, F], k odd, stride 1,
// padded with zeros to the same size, [N, H, W, F].
//
// It can be differentiated any number of times, as the samplers need: the score is one
// derivative, its divergence another, and learning through both a third. GoMLX's own
// gradient rule of convolutions can only be differentiated once; closedVJP replaces it.
// It takes a third of the time of shifted slices and matrix products (docs/ebm.md,
// convolutions).
func conv(x, kernel *Node) *Node {
	return convPadded(x, kernel, kernel.Shape().Dim(0)/2)
}

func convPadded(x, kernel *Node, pad int) *Node {
	axes := ConvolveAxesConfig{
		InputBatch: 0, InputSpatial: []int{1, 2}, InputChannels: 3,
		KernelSpatial: []int{0, 1}, KernelInputChannels: 2, KernelOutputChannels: 3,
		OutputBatch: 0, OutputSpatial: []int{1, 2}, OutputChannels: 3,
	}
	return ConvGeneral(x, kernel, axes, []int{1, 1}, [][2]int{{pad, pad}, {pad, pad}}, nil, nil, 1, 1)
}

func init() {
	own := VJPRegistration[NodeTypeConvGeneral]
	VJPRegistration[NodeTypeConvGeneral] = func(node *Node, v []*Node, shape shapes.Shape) []*Node {
		if isPlain(node) {
			return closedVJP(node, v[0])
		}
		return own(node, v, shape)
	}
}

// isPlain reports whether convPadded made a convolution. GoMLX hides the settings of a
// node, but its text form shows them.
func isPlain(node *Node) bool {
	x, kernel := node.Inputs()[0].Shape(), node.Inputs()[1].Shape()
	text := node.String()
	if x.Rank() != 4 || kernel.Dim(0) != kernel.Dim(1) || kernel.Dim(2) != x.Dim(3) {
		return false
	}
	for _, want := range []string{
		"InputBatch:0 InputChannels:3 InputSpatial:[1 2]", "KernelInputChannels:2 KernelOutputChannels:3 KernelSpatial:[0 1]",
		"OutputBatch:0 OutputChannels:3 OutputSpatial:[1 2]",
		"strides=[1 1]", "inputDilations=[]", "kernelDilations=[]", "channelGroupCount=1", "batchGroupCount=1",
	} {
		if !strings.Contains(text, want) {
			return false
		}
	}
	pad := padding(node)
	return pad >= 0 && pad < kernel.Dim(0) && strings.Contains(text, fmt.Sprintf("paddings=[[%d %d] [%d %d]]", pad, pad, pad, pad))
}

// padding computes the padding on each side from the sizes.
func padding(node *Node) int {
	in, out := node.Inputs()[0].Shape().Dim(1), node.Shape().Dim(1)
	return (out - in + node.Inputs()[1].Shape().Dim(0) - 1) / 2
}

// closedVJP expresses the two gradients of a convolution y = x ∗ w as convolutions of the
// same kind, so that they have gradients again:
//
//	∂x = ∂y ∗ (w turned by half a circle, its channels exchanged)
//	∂w = x ∗ ∂y, with images in the place of channels
func closedVJP(node, v *Node) []*Node {
	x, w := node.Inputs()[0], node.Inputs()[1]
	if x.Shape().Dim(1) != x.Shape().Dim(2) {
		panic(fmt.Errorf("ebm: convolution of %s: only square images have a gradient", x.Shape()))
	}
	pad := padding(node)
	dx := convPadded(v, turned(w), w.Shape().Dim(0)-1-pad)
	dw := convPadded(TransposeAllAxes(x, 3, 1, 2, 0), TransposeAllAxes(v, 1, 2, 0, 3), pad) // [C, k, k, F]
	return []*Node{dx, TransposeAllAxes(dw, 1, 2, 0, 3)}
}

// turned rotates w [k, k, C, F] by 180°, [k, k, F, C], by a permutation, since GoMLX's
// Reverse has no gradient.
func turned(w *Node) *Node {
	d := w.Shape().Dimensions
	n := d[0] * d[1]
	last := make([][]float32, n)
	for i := range last {
		last[i] = make([]float32, n)
		last[i][n-1-i] = 1
	}
	flat := Dot(ConvertDType(Const(w.Graph(), last), w.DType()), Reshape(w, n, d[2]*d[3])).Product()
	return TransposeAllAxes(Reshape(flat, d...), 0, 1, 3, 2)
}

// fold moves p×p squares into channels, [N, H, W, C] -> [N, H/p, W/p, p²C].
func fold(x *Node, p int) *Node {
	if p == 1 {
		return x
	}
	d := x.Shape().Dimensions
	x = Reshape(x, d[0], d[1]/p, p, d[2]/p, p, d[3])
	return Reshape(TransposeAllAxes(x, 0, 1, 3, 2, 4, 5), d[0], d[1]/p, d[2]/p, p*p*d[3])
}

// halve averages 2×2 squares, [N, H, W, C] -> [N, H/2, W/2, C].
func halve(x *Node) *Node {
	d := x.Shape().Dimensions
	return ReduceMean(Reshape(x, d[0], d[1]/2, 2, d[2]/2, 2, d[3]), 2, 4)
}

// swish is x·sigmoid(x) (Ramachandran et al. 2017): smooth, as second derivatives need.
func swish(x *Node) *Node { return Mul(x, Sigmoid(x)) }
