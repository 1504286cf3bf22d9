package ebm

import (
	"errors"
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"
)

// Energy configures the network f. Images pass levels of 3×3 convolutions with Swish,
// with halving between levels, and end in one number by a linear layer, optionally after
// a hidden layer over all features. There is no batch normalisation: f of an image does
// not depend on other images.
type Energy struct {
	Kind     string `want:"conv|residual"`
	Channels []int  `want:"> 0"`  // per level
	Blocks   int    `want:">= 1"` // convolutions, or residual blocks of two convolutions, per level
	Patch    int    `want:">= 1"` // side of squares that are first folded into channels
	Hidden   int    `want:">= 0"` // units of a hidden layer over all features; 0: none
	// Spectral divides each convolution's kernel, as a matrix, by its largest singular
	// value, tracked by one power iteration per update (Miyato et al. 2018).
	Spectral bool
}

// Check validates the network for images of a shape.
func (e Energy) Check(s Shape) error {
	var all []error
	if len(e.Channels) == 0 {
		all = append(all, errors.New("energy.channels: want at least one level"))
	}
	if s.Height != s.Width {
		all = append(all, fmt.Errorf("energy: images of %d×%d: want square ones", s.Height, s.Width))
	}
	if side := e.Patch << max(0, len(e.Channels)-1); side > 0 && s.Height%side != 0 {
		all = append(all, fmt.Errorf("energy: images of side %d can't be folded by %d and halved %d times: want a multiple of %d",
			s.Height, e.Patch, len(e.Channels)-1, side))
	}
	return errors.Join(all...)
}

// Shape is the shape of one image.
type Shape struct{ Height, Width, Channels int }

// Size is D, the number of values of an image.
func (s Shape) Size() int { return s.Height * s.Width * s.Channels }

// network is f with its weights in a graph. The weights are prepared once for all
// evaluations.
type network struct {
	Energy
	shape   Shape
	kernels []*Node  // in the order of their use
	hidden  *Node    // [features, Hidden]; nil: none
	head    *Node    // [features or Hidden, 1]
	follow  []func() // power iterations, run once per update
}

// build creates or finds f's weights under scope.
func (e Energy) build(scope *model.Scope, g *Graph, s Shape) *network {
	n := &network{Energy: e, shape: s}
	in, side := s.Channels*e.Patch*e.Patch, s.Height/e.Patch
	for level, out := range e.Channels {
		at := scope.At("level_%d", level)
		for block := range e.Blocks {
			at := at.At("block_%d", block)
			if e.Kind == "residual" {
				n.kernel(at, g, "first", 3, in, out, math.Sqrt2)
				n.kernel(at, g, "second", 3, out, out, 0.5)
				if in != out {
					n.kernel(at, g, "skip", 1, in, out, 1)
				}
			} else {
				n.kernel(at, g, "kernel", 3, in, out, math.Sqrt2)
			}
			in = out
		}
		if level < len(e.Channels)-1 {
			side /= 2
		}
	}
	features := side * side * in
	if e.Hidden > 0 {
		n.hidden = weight(scope, "hidden", math.Sqrt2/math.Sqrt(float64(features)), features, e.Hidden).NodeValue(g)
		if n.Spectral {
			n.hidden = n.normalised(scope, "hidden", n.hidden)
		}
		features = e.Hidden
	}
	n.head = weight(scope, "head", 1/math.Sqrt(float64(features)), features, 1).NodeValue(g)
	return n
}

// kernel adds the next kernel. Its outputs have about gain times the magnitude of its
// inputs.
func (n *network) kernel(scope *model.Scope, g *Graph, name string, k, in, out int, gain float64) {
	w := weight(scope, name, gain/math.Sqrt(float64(k*k*in)), k, k, in, out).NodeValue(g)
	if n.Spectral {
		w = n.normalised(scope, name, w)
	}
	n.kernels = append(n.kernels, w)
}

// normalised is w divided by its largest singular value, estimated with the current
// vector of the power iteration; follow computes the next one.
func (n *network) normalised(scope *model.Scope, name string, w *Node) *Node {
	out := w.Shape().Dim(-1)
	matrix := Reshape(w, -1, out)
	left := weight(scope, name+"_singular", 1, out).SetTrainable(false)
	unit := func(x *Node) *Node { return Div(x, AddScalar(Sqrt(ReduceAllSum(Square(x))), 1e-12)) }
	u := unit(left.NodeValue(w.Graph()))
	v := StopGradient(unit(Einsum("io,o->i", matrix, u)))
	next := StopGradient(unit(Einsum("io,i->o", matrix, v)))
	n.follow = append(n.follow, func() { left.SetNodeValue(next) })
	sigma := ReduceAllSum(Mul(Einsum("io,o->i", matrix, next), v))
	return Div(w, AddScalar(sigma, 1e-12))
}

// weight is a variable initialised from N(0, std²).
func weight(scope *model.Scope, name string, std float64, dims ...int) *model.Variable {
	return scope.WithInitializer(initializer.RandomNormalFn(scope, std)).VariableWithShape(name, shapes.Make(dtypes.Float32, dims...))
}

// f is the network's output, [N, H, W, C] -> [N].
func (n *network) f(x *Node) *Node {
	next := 0
	kernel := func() *Node { next++; return n.kernels[next-1] }
	h := fold(x, n.Patch)
	for level, out := range n.Channels {
		for range n.Blocks {
			if n.Kind == "residual" {
				inner := conv(swish(conv(swish(h), kernel())), kernel())
				if h.Shape().Dim(3) != out {
					h = conv(h, kernel())
				}
				h = Add(h, inner)
			} else {
				h = swish(conv(h, kernel()))
			}
		}
		if level < len(n.Channels)-1 {
			h = halve(h)
		}
	}
	if n.Kind == "residual" {
		h = swish(h)
	}
	rows := h.Shape().Dim(0)
	h = Reshape(h, rows, -1)
	if n.hidden != nil {
		h = swish(Dot(h, n.hidden).Product())
	}
	return Reshape(Dot(h, n.head).Product(), rows)
}

// particles is f of particles, [B, M, D] -> [B, M].
func (n *network) particles(x *Node) *Node {
	d := x.Shape().Dimensions
	return Reshape(n.f(Reshape(x, d[0]*d[1], n.shape.Height, n.shape.Width, n.shape.Channels)), d[0], d[1])
}

// Layers are f's weights as used in multiplications, for other implementations of f.
type Layers struct {
	Energy
	Shape   Shape
	Kernels []Weights // of the convolutions [k, k, in, out], in the order of their use
	Hidden  *Weights  // [features, Hidden], features in the order height, width, channel; nil: none
	Head    Weights   // [features or Hidden, 1]
}

// Weights are an array in row-major order.
type Weights struct {
	Shape []int
	Data  []float32
}

// Layers returns the averaged weights; it fails without an energy.
func (m *Model) Layers() (Layers, error) {
	l := Layers{Energy: m.cfg.Energy, Shape: m.shape}
	if !m.contrastive() {
		return l, errors.New("ebm: the model has no energy")
	}
	exec, err := model.NewExec(m.backend, m.store, func(scope *model.Scope, g *Graph) []*Node {
		n := m.cfg.Energy.build(scope.At(averageScope), g, m.shape)
		all := append(n.kernels, n.head)
		if n.hidden != nil {
			all = append(all, n.hidden)
		}
		for i, x := range all {
			all[i] = Identity(x)
		}
		return all
	})
	if err != nil {
		return l, fmt.Errorf("ebm: weights: %w", err)
	}
	defer exec.Finalize()
	out, err := exec.Call()
	if err != nil {
		return l, fmt.Errorf("ebm: weights: %w", err)
	}
	var all []Weights
	for _, t := range out {
		data, err := tensors.CopyFlatData[float32](t)
		if err != nil {
			return l, fmt.Errorf("ebm: weights: %w", err)
		}
		all = append(all, Weights{t.Shape().Dimensions, data})
		t.FinalizeAll()
	}
	if m.cfg.Energy.Hidden > 0 {
		l.Hidden, all = &all[len(all)-1], all[:len(all)-1]
	}
	l.Kernels, l.Head = all[:len(all)-1], all[len(all)-1]
	return l, nil
}
