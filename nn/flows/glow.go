package flows

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Glow is the flow of Kingma & Dhariwal (2018) on images. Each of Levels levels is a
// squeeze, Steps steps and a split. A step is actnorm, an invertible 1×1 convolution and
// an affine coupling. The half that a split removes is Gaussian given the half that
// remains, so that z as a whole is standard normal.
//
// Forward and Inverse are differentiable once, with respect to the variables and the
// input.
type Glow struct {
	Height   int `want:">= 2"` // of an image; both sides multiples of 2^Levels
	Width    int `want:">= 2"`
	Channels int `want:">= 1"`
	Levels   int `want:">= 1"` // L of the paper
	Steps    int `want:">= 1"` // K of the paper, on each level
	Hidden   int `want:">= 1"` // channels of the coupling networks
}

var _ Flow = Glow{}

// Check reports sizes that cannot be built.
func (g Glow) Check() error {
	if g.Levels < 1 || g.Steps < 1 || g.Hidden < 1 || g.Channels < 1 {
		return fmt.Errorf("flows: Glow with %d levels, %d steps, %d hidden channels and %d channels: each must be at least 1", g.Levels, g.Steps, g.Hidden, g.Channels)
	}
	if side := 1 << g.Levels; g.Height < side || g.Width < side || g.Height%side != 0 || g.Width%side != 0 {
		return fmt.Errorf("flows: Glow with %d levels on %d×%d images: both sides must be multiples of %d", g.Levels, g.Height, g.Width, side)
	}
	return nil
}

// Size is the number of values of an image.
func (g Glow) Size() int { return g.Height * g.Width * g.Channels }

// Forward maps images x, [B, H, W, C], to z, [B, H·W·C], and returns log|det ∂z/∂x|, [B].
// z is standard normal under the model. cond must be nil.
func (g Glow) Forward(scope *model.Scope, x, cond *Node) (z, logDet *Node) {
	if cond != nil {
		panic(fmt.Errorf("flows: Glow does not take a condition"))
	}
	return g.forward(pass{}, scope, x)
}

// Initialise sets the actnorm variables so that each actnorm's output has mean 0 and
// standard deviation 1 on the images x, [B, H, W, C] (section 3.1). Run it once before
// training. It returns what Forward returns afterwards.
func (g Glow) Initialise(scope *model.Scope, x *Node) (z, logDet *Node) {
	return g.forward(pass{fit: true}, scope, x)
}

// Inverse maps z, [B, H·W·C], to x, [B, H, W, C], and returns log|det ∂x/∂z|, [B].
func (g Glow) Inverse(scope *model.Scope, z *Node) (x, logDet *Node) {
	g.check(z, z.Shape().Dim(0), g.Size())
	var p pass
	h, w, c := g.Height>>g.Levels, g.Width>>g.Levels, g.top()
	end := g.Size()
	x = Reshape(Slice(z, AxisRange(), AxisRange(end-h*w*c, end)), -1, h, w, c)
	end -= h * w * c
	logDet = Zeros(z.Graph(), g.rows(z))
	for level := g.Levels - 1; level >= 0; level-- {
		at := scope.At("level_%d", level)
		if level < g.Levels-1 {
			size := h * w * x.Shape().Dim(3)
			taken := Reshape(Slice(z, AxisRange(), AxisRange(end-size, end)), -1, h, w, x.Shape().Dim(3))
			end -= size
			mean, logStd := p.prior(at.At("split"), x)
			taken = Add(Mul(taken, Exp(logStd)), mean)
			logDet = Add(logDet, ReduceSum(logStd, 1, 2, 3))
			x = Concatenate([]*Node{x, taken}, -1)
		}
		for step := g.Steps - 1; step >= 0; step-- {
			var ld *Node
			x, ld = p.stepBack(at.At("step_%d", step), x, g.mixing(level, step, x), g.Hidden)
			logDet = Add(logDet, ld)
		}
		x = unsqueeze(x)
		h, w = 2*h, 2*w
	}
	return x, logDet
}

// LogProb is the log-density of images x, [B, H, W, C] -> [B].
func (g Glow) LogProb(scope *model.Scope, x *Node) *Node {
	z, logDet := g.Forward(scope, x, nil)
	return Add(logNormal(z), logDet)
}

// Sample maps standard normal z, [B, H·W·C], to images, [B, H, W, C], and returns their
// log-density, [B]. Scale z by a temperature below 1 for more likely images; the
// log-density stays the model's.
func (g Glow) Sample(scope *model.Scope, z *Node) (x, logQ *Node) {
	x, logDet := g.Inverse(scope, z)
	return x, Sub(logNormal(z), logDet)
}

// BitsPerDim converts a log-density of images in [-1, 1] to bits per value. The images
// are bytes dequantised with uniform noise one step wide, so the result is an upper bound
// on the code length of the bytes (Theis et al. 2016). size is the number of values of an
// image.
func BitsPerDim(logProb float64, size int) float64 {
	const step = 2. / 256
	return -(logProb/float64(size) + math.Log(step)) / math.Ln2
}

func (g Glow) forward(p pass, scope *model.Scope, x *Node) (z, logDet *Node) {
	if err := g.Check(); err != nil {
		panic(err)
	}
	g.check(x, x.Shape().Dim(0), g.Height, g.Width, g.Channels)
	logDet = Zeros(x.Graph(), g.rows(x))
	var taken []*Node
	for level := range g.Levels {
		at := scope.At("level_%d", level)
		x = squeeze(x)
		for step := range g.Steps {
			var ld *Node
			x, ld = p.step(at.At("step_%d", step), x, g.mixing(level, step, x), g.Hidden)
			logDet = Add(logDet, ld)
		}
		if level < g.Levels-1 {
			left, right := halves(x)
			mean, logStd := p.prior(at.At("split"), left)
			taken = append(taken, Reshape(Mul(Sub(right, mean), Exp(Neg(logStd))), x.Shape().Dim(0), -1))
			logDet = Sub(logDet, ReduceSum(logStd, 1, 2, 3))
			x = left
		}
	}
	taken = append(taken, Reshape(x, x.Shape().Dim(0), -1))
	if len(taken) == 1 {
		return taken[0], logDet
	}
	return Concatenate(taken, -1), logDet
}

// top is the number of channels at the end of the last level.
func (g Glow) top() int { return g.Channels << (g.Levels + 1) }

func (g Glow) check(x *Node, dims ...int) {
	if err := g.Check(); err != nil {
		panic(err)
	}
	if x.Rank() != len(dims) {
		panic(fmt.Errorf("flows: Glow on %s: want %v", x.Shape(), dims))
	}
	for i, d := range dims {
		if x.Shape().Dim(i) != d {
			panic(fmt.Errorf("flows: Glow on %s: want %v", x.Shape(), dims))
		}
	}
}

// mixing is the 1×1 convolution of a step, for the number of channels of x.
func (g Glow) mixing(level, step int, x *Node) mixing {
	return mixing{x.Shape().Dim(3), uint64(level)<<32 | uint64(step)}
}
