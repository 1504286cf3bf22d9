package sampler

import (
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// A Key names one stream of random numbers. It is a counter-based (Philox) state,
// [3]uint64, and is never advanced: the same Key and shape always give the same
// numbers. Take independent ones with Fold.
type Key struct{ state *Node }

// NewKey makes a key of a graph.RNGStateShape node, usually an input of the graph.
func NewKey(state *Node) Key { return Key{state} }

// Fold derives a key that is independent of k and of every other Fold of it.
func (k Key) Fold(i int) Key {
	g := k.state.Graph()
	mixed := splitMix(uint64(i) + 1)
	return Key{BitwiseXor(k.state, Const(g, []uint64{mixed, 0, splitMix(mixed)}))}
}

// Normal draws standard normal numbers.
func (k Key) Normal(shape shapes.Shape) *Node {
	_, x := RandomNormal(k.state, shape)
	return x
}

// Uniform draws from [0, 1).
func (k Key) Uniform(shape shapes.Shape) *Node {
	_, x := RandomUniform(k.state, shape)
	return x
}

// splitMix is the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
func splitMix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}
