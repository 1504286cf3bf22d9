package sampler

import (
	"math/rand/v2"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
)

// BenchmarkMedian is the median heuristic's share of a step: 100 systems of M particles.
func BenchmarkMedian(b *testing.B) {
	for _, m := range []int{10, 64} {
		b.Run(map[int]string{10: "M=10", 64: "M=64"}[m], func(b *testing.B) {
			exec := MustNewExec(enginetest.Backend(b), lowerMedian)
			defer exec.Finalize()
			x := make([]float32, 100*m*m)
			for i := range x {
				x[i] = rand.Float32()
			}
			in := tensors.FromFlatDataAndDimensions(x, 100, m*m)
			exec.MustCall(in)[0].MustFinalizeAll()
			for b.Loop() {
				exec.MustCall(in)[0].MustFinalizeAll()
			}
		})
	}
}
