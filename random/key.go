// Package random makes random numbers inside graphs from explicit keys.
package random

import (
	"math"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// A Key names one stream of random numbers. It is a counter-based (Philox) state,
// [3]uint64, and never advances: the same Key and shape always give the same numbers.
// Derive independent keys with Fold.
type Key struct{ state *Node }

// NewKey makes a key from a graph.RNGStateShape node, usually an input of the graph.
func NewKey(state *Node) Key { return Key{state} }

// KeyOf returns key i of a stream of a seed as a host value: a Philox key and the high
// half of its counter. Draws count up from there, so no random state is carried from call
// to call.
func KeyOf(seed, stream, i uint64) [3]uint64 {
	return [3]uint64{Mix(Mix(seed, stream), i), 0, Mix(Mix(seed, stream+1<<32), i)}
}

// Mix hashes x into h.
func Mix(h, x uint64) uint64 { return splitMix(h + x*golden) }

// Fold derives a key that is independent of k and of k's other Folds. The order of Folds
// matters: k.Fold(a).Fold(b) differs from k.Fold(b).Fold(a).
func (k Key) Fold(i int) Key {
	g := k.state.Graph()
	start := splitMix(uint64(i))
	salt := Const(g, []uint64{start, splitMix(start), splitMix(start + 1)})
	z := Add(k.state, salt)
	z = Mul(BitwiseXor(z, shiftRight(z, 30)), Const(g, uint64(mix1)))
	z = Mul(BitwiseXor(z, shiftRight(z, 27)), Const(g, uint64(mix2)))
	return Key{BitwiseXor(z, shiftRight(z, 31))}
}

func shiftRight(x *Node, bits uint64) *Node {
	return BitwiseShiftRightLogical(x, BroadcastToShape(Const(x.Graph(), bits), x.Shape()))
}

// Normal draws standard normal numbers.
func (k Key) Normal(shape shapes.Shape) *Node {
	state, u := RandomUniform(k.state, shape)
	_, v := RandomUniform(state, shape)
	return boxMuller(u, v)
}

// leastUniform is below every positive number that RandomUniform gives in float32.
const leastUniform = 0x1p-33

// boxMuller makes a standard normal number from two uniform ones in [0, 1) (Box and
// Muller 1958). graph.RandomNormal uses the same formula but keeps u above 0 only by the
// smallest denormal, which XLA flushes to 0 on a CPU. One number in 2³² would then be
// infinite, and a day of training draws more than that.
func boxMuller(u, v *Node) *Node {
	radius := Sqrt(MulScalar(Log(MaxScalar(u, leastUniform)), -2.0))
	normal := Mul(radius, Cos(MulScalar(v, 2*math.Pi)))
	// Divided by 1. XLA takes a cosine for cheap and computes it again for everything that a
	// number is multiplied with, 64 times for a layer of 64. It does not repeat divisions.
	return Div(normal, MaxScalar(v, 1))
}

// Uniform draws from [0, 1).
func (k Key) Uniform(shape shapes.Shape) *Node {
	_, x := RandomUniform(k.state, shape)
	return x
}

// The increment of SplitMix64 and the multipliers of its finaliser (Steele, Lea and Flood
// 2014).
const (
	golden = 0x9e3779b97f4a7c15
	mix1   = 0xbf58476d1ce4e5b9
	mix2   = 0x94d049bb133111eb
)

// splitMix is SplitMix64's next output after state z.
func splitMix(z uint64) uint64 {
	z += golden
	z = (z ^ (z >> 30)) * mix1
	z = (z ^ (z >> 27)) * mix2
	return z ^ (z >> 31)
}
