package nn

import (
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
)

// Ensure that a narrow layer's product and both of its gradients are those of a plain
// product, and that a gradient that is not finite stays so, or becomes the largest number,
// whose square is not.
func TestNarrowProduct(t *testing.T) {
	const rows, in = 2 * 20, 7
	for _, out := range []int{1, 2, 3} {
		exec := MustNewExec(enginetest.Backend(t), func(x, w, g *Node) []*Node {
			plain := MatMul(x, w)
			all := append([]*Node{plain}, Gradient(ReduceAllSum(Mul(plain, g)), x, w)...)
			narrow := Reshape(narrowProduct(Reshape(x, 2, 20, in), w), rows, out)
			return append(append(all, narrow), Gradient(ReduceAllSum(Mul(narrow, g)), x, w)...)
		})
		x, w, g := flat(rowsOf(rows, in)), flat(rowsOf(in, out)), flat(rowsOf(rows, out))
		call := func() []*tensors.Tensor {
			return exec.MustCall(tensorOf(x, rows, in), tensorOf(w, in, out), tensorOf(g, rows, out))
		}
		all := call()
		for i, what := range []string{"product", "gradient of x", "gradient of w"} {
			want := tensors.MustCopyFlatData[float32](all[i])
			wide := make([]float64, len(want))
			for j, v := range want {
				wide[j] = float64(v)
			}
			near(t, what, all[3+i], wide)
		}
		for _, bad := range []float64{math.Inf(1), math.NaN()} {
			g[0] = bad
			last := tensors.MustCopyFlatData[float32](call()[5])
			if one := float64(last[0]); !math.IsInf(one, 0) && !math.IsNaN(one) && math.Abs(one) < math.MaxFloat32 {
				t.Errorf("%d outputs: a gradient of %g becomes %g", out, bad, one)
			}
		}
		exec.Finalize()
	}
}
