package main

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/engine"
)

// Pictures of 32 × 32 × 3, and a chain of steps long enough that the cost of a
// call does not count.
const (
	imageDims      = 3072
	imageParticles = 64
	imageChain     = 50
)

// image times the two matrix products that any step needs, K = X Xᵀ and K S,
// chained so that none can be left out: milliseconds of one pair.
func image(b compute.Backend, o options) (map[string]any, error) {
	products, err := chain(b, o, func(x *Node) *Node {
		k := Einsum("id,jd->ij", x, x)
		return MulScalar(Einsum("ij,jd->id", k, x), 1e-4)
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"two_products_ms": products}, nil
}

// chain compiles imageChain applications of f to [M, D] and times one of them.
func chain(b compute.Backend, o options, f func(x *Node) *Node) (float64, error) {
	var exec *Exec
	err := engine.Try(func() {
		exec = MustNewExec(b, func(state *Node) *Node {
			_, x := RandomNormal(state, shapes.Make(dtypes.Float32, imageParticles, imageDims))
			x = MulScalar(x, 0.1)
			for range imageChain {
				x = f(x)
			}
			return ReduceAllSum(x)
		})
	})
	if err != nil {
		return 0, err
	}
	state, err := RNGStateFromSeed(1)
	if err != nil {
		return 0, err
	}
	_, median, err := timed(o, func() error {
		out, err := exec.Exec1(state)
		if err != nil {
			return err
		}
		out.Value()
		return nil
	})
	return median / imageChain, err
}
