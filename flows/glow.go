package flows

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Glow is the flow of Kingma & Dhariwal (2018) on images: Levels times squeeze, Steps
// of flow, split; a step is actnorm, an invertible 1×1 convolution and an affine
// coupling.
type Glow struct {
	Height, Width, Channels int // of a picture; both sides multiples of 2^Levels
	Levels                  int // L of the paper
	Steps                   int // K of the paper, on each level
	Hidden                  int // channels of the coupling networks
}

var _ Flow = Glow{}

// Forward maps pictures x, [B, H, W, C], to z, [B, H·W·C], which is standard normal
// under the model, with log|det ∂z/∂x|, [B]. cond must be nil.
func (g Glow) Forward(scope *model.Scope, x, cond *Node) (z, logDet *Node) {
	panic(fmt.Errorf("flows: Glow cannot be built yet"))
}

// Inverse maps z, [B, H·W·C], to x, [B, H, W, C], with log|det ∂x/∂z|, [B].
func (g Glow) Inverse(scope *model.Scope, z *Node) (x, logDet *Node) {
	panic(fmt.Errorf("flows: Glow cannot be built yet"))
}

// LogProb is the log-density of pictures x, [B, H, W, C] to [B].
func (g Glow) LogProb(scope *model.Scope, x *Node) *Node {
	panic(fmt.Errorf("flows: Glow cannot be built yet"))
}

// Sample maps standard normal z, [B, H·W·C], to pictures, [B, H, W, C], with their
// log-density, [B].
func (g Glow) Sample(scope *model.Scope, z *Node) (x, logQ *Node) {
	panic(fmt.Errorf("flows: Glow cannot be built yet"))
}

// Initialise sets the actnorm variables so that what comes out of each has mean 0 and
// standard deviation 1 on the pictures x, [B, H, W, C]: run it once, before training.
// It answers the same as Forward.
func (g Glow) Initialise(scope *model.Scope, x *Node) (z, logDet *Node) {
	panic(fmt.Errorf("flows: Glow cannot be built yet"))
}
