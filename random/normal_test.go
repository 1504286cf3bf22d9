package random

import (
	"math"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
)

// Ensure that normal numbers are finite whatever uniform ones they are made of, 0 and
// the least that is drawn among them, and that no tail is cut that float32 could have.
func TestNormalIsFinite(t *testing.T) {
	for _, backend := range []compute.Backend{enginetest.Backend(t), enginetest.PureGo(t)} {
		exec := MustNewExec(backend, boxMuller)
		u := []float32{0, 0x1p-32, 0x1p-31, 0.5, math.Nextafter32(1, 0)}
		got := tensors.MustCopyFlatData[float32](exec.MustCall(u, make([]float32, len(u)))[0])
		for i, x := range got {
			want := math.Sqrt(-2 * math.Log(max(float64(u[i]), leastUniform)))
			if math.Abs(float64(x)-want) > 1e-3 {
				t.Errorf("%s: of u = %g: %g, want %g", backend.Name(), u[i], x, want)
			}
		}
		exec.Finalize()
	}
}
