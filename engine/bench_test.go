package engine_test

import (
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/internal/enginetest"
)

// BenchmarkSecondOrder times what particles ask of a backend: the gradient, with
// respect to the weights, of a loss that holds the score of a network at 1000
// points, two layers of 256.
func BenchmarkSecondOrder(b *testing.B) {
	for name, backend := range map[string]compute.Backend{
		"found": enginetest.Backend(b), "go": enginetest.PureGo(b),
	} {
		b.Run(name, func(b *testing.B) {
			exec := MustNewExec(backend, func(x, w1, w2, w3 *Node) *Node {
				h := Tanh(MatMul(Tanh(MatMul(x, w1)), w2))
				score := Gradient(ReduceAllSum(MatMul(h, w3)), x)[0]
				grads := Gradient(ReduceAllSum(Square(score)), w1, w2, w3)
				return Add(ReduceAllSum(grads[0]), Add(ReduceAllSum(grads[1]), ReduceAllSum(grads[2])))
			})
			defer exec.Finalize()
			inputs := MustNewExec(backend, func(g *Graph) []*Node {
				key := Const(g, []uint64{1, 2, 3})
				var out []*Node
				for _, dims := range [][]int{{1000, 256}, {256, 256}, {256, 256}, {256, 1}} {
					var x *Node
					key, x = RandomNormal(key, shapes.Make(dtypes.Float32, dims...))
					out = append(out, MulScalar(x, 0.06))
				}
				return out
			}).MustCall()
			args := []any{inputs[0], inputs[1], inputs[2], inputs[3]}
			exec.MustCall(args...) // compiles
			for b.Loop() {
				exec.MustCall(args...)[0].MustFinalizeAll()
			}
		})
	}
}
