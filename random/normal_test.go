package random

import (
	"math"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
)

// Ensure that normal numbers are finite whatever uniform ones they are made of, and that
// each lies where its uniform number says: P(radius > r) = e^{−r²/2} = u. The least
// positive number that is drawn in float32 is 2⁻³²: no tail is cut that it could have.
func TestNormalIsFinite(t *testing.T) {
	for _, backend := range []compute.Backend{enginetest.Backend(t), enginetest.PureGo(t)} {
		exec := MustNewExec(backend, boxMuller)
		u := []float32{0, 0x1p-32, 0x1p-31, 1e-4, 0.5, math.Nextafter32(1, 0)}
		got := tensors.MustCopyFlatData[float32](exec.MustCall(u, make([]float32, len(u)))[0])
		if far := float64(got[0]); !(far > float64(got[1]) && far < 7) {
			t.Errorf("%s: of u = 0: %g, want a finite number beyond that of 2⁻³², %g", backend.Name(), far, got[1])
		}
		for i, x := range got[1:] {
			r := float64(x)
			if p, want := math.Exp(-r*r/2), float64(u[i+1]); math.Abs(p/want-1) > 1e-4 {
				t.Errorf("%s: of u = %g: %g, which is exceeded with probability %g", backend.Name(), want, r, p)
			}
		}
		exec.Finalize()
	}
}

// Ensure that drawn numbers are normal: at points of the whole range as many lie below
// as the distribution function says, within five standard errors.
func TestNormalIsNormal(t *testing.T) {
	const n = 1 << 20
	exec := MustNewExec(enginetest.Backend(t), func(state *Node) *Node {
		return NewKey(state).Normal(shapes.Make(dtypes.Float32, n))
	})
	defer exec.Finalize()
	state, err := RNGStateFromSeed(3)
	if err != nil {
		t.Fatal(err)
	}
	drawn := tensors.MustCopyFlatData[float32](exec.MustCall(state)[0])
	for _, at := range []float64{-4, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 4} {
		below := 0
		for _, x := range drawn {
			if float64(x) < at {
				below++
			}
		}
		p := 0.5 * math.Erfc(-at/math.Sqrt2)
		if got, limit := float64(below)/n, 5*math.Sqrt(p*(1-p)/n); math.Abs(got-p) > limit {
			t.Errorf("a share of %.6f lies below %g, want %.6f ± %.6f", got, at, p, limit)
		}
	}
}
