package sampler

import (
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/random"
)

// Noise is a sampler's source of random numbers. Runs use a KeyNoise; tests inject
// recorded numbers.
type Noise interface {
	Normal(use Use, step int, shape shapes.Shape) *Node
	Uniform(use Use, step int, shape shapes.Shape) *Node // in [0, 1)
	Sign(use Use, step int, shape shapes.Shape) *Node    // ±1 with equal probability
}

// A Use names the purpose of a draw. Draws for different uses are independent.
type Use int

// The uses of random numbers.
const (
	ForInitial   Use = iota // x⁰
	ForComponent            // which component of a mixture x⁰ is drawn from
	ForProbe                // Hutchinson's probes; probe v of V is ForProbe at step·V+v
	ForAccept               // the accept test
	ForDirection            // forward or inverse proposal
	ForDiffusion            // Langevin's noise
	ForLot                  // whether this run applies the accept test (ε-greedy)
)

// KeyNoise draws everything from one key.
type KeyNoise struct{ Key random.Key }

func (n KeyNoise) at(use Use, step int) random.Key { return n.Key.Fold(int(use)).Fold(step) }

// Normal draws standard normal numbers.
func (n KeyNoise) Normal(use Use, step int, shape shapes.Shape) *Node {
	return n.at(use, step).Normal(shape)
}

// Uniform draws from [0, 1).
func (n KeyNoise) Uniform(use Use, step int, shape shapes.Shape) *Node {
	return n.at(use, step).Uniform(shape)
}

// Sign draws Rademacher numbers.
func (n KeyNoise) Sign(use Use, step int, shape shapes.Shape) *Node {
	u := n.at(use, step).Uniform(shape)
	return Where(LessThan(u, Scalar(u.Graph(), u.DType(), 0.5)), Neg(OnesLike(u)), OnesLike(u))
}

var _ Noise = KeyNoise{}
