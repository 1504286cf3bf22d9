package engine

import (
	"fmt"
	"math"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
)

// Check runs a small graph and its gradient on a backend and verifies the results. A
// plugin that loads can still fail here.
func Check(b compute.Backend) (err error) {
	var value, slope float32
	tried := Try(func() {
		exec, e := NewExec(b, func(x *Node) (*Node, *Node) {
			y := ReduceAllSum(Square(MatMul(x, x)))
			return y, ReduceAllSum(Gradient(y, x)[0])
		})
		if err = e; err != nil {
			return
		}
		defer exec.Finalize()
		out, e := exec.Call([][]float32{{1, 2}, {3, 4}})
		if err = e; err != nil {
			return
		}
		value, slope = out[0].Value().(float32), out[1].Value().(float32)
	})
	if tried != nil {
		err = tried
	}
	if err != nil {
		return fmt.Errorf("engine: running a graph: %w", err)
	}
	// X² = [[7 10] [15 22]]; Σ = 49+100+225+484; ∂/∂X = 2(X²Xᵀ + XᵀX²).
	const wantValue, wantSlope = 858, 1180
	if math.Abs(float64(value-wantValue)) > 0.1 || math.Abs(float64(slope-wantSlope)) > 0.1 {
		return fmt.Errorf("engine: a test graph gave %g and gradient %g, want %d and %d", value, slope, wantValue, wantSlope)
	}
	return nil
}
