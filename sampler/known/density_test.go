package known_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/sampler/known"
)

// everyDensity has each name, in several dimensions where it has them.
var everyDensity = []struct {
	name string
	dim  int
}{{"gaussian", 1}, {"gaussian", 5}, {"gaussian-full", 2}, {"gmm2", 1}, {"gmm2", 3}, {"gmm4", 2}, {"gmm4", 4}, {"ring", 2}, {"box", 1}, {"box", 3}}

// Ensure that entropy, mean and covariance are those of the exact samples, and that
// the graph's log density is the host's up to one constant. The samples' own
// standard errors are the yardstick: six of them, 2e-9 a comparison.
func TestDensities(t *testing.T) {
	const n = 40000
	for _, c := range everyDensity {
		d, err := known.NewDensity(c.name, c.dim)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		x := make([]float64, n*d.Dim)
		surprise := make([]float64, n)
		for i := range n {
			row := x[i*d.Dim : (i+1)*d.Dim]
			d.Draw(rng, row)
			surprise[i] = -d.LogDensity(row)
		}
		near := func(what string, want float64, values func(i int) float64) {
			t.Helper()
			var sum, squares float64
			for i := range n {
				v := values(i)
				sum += v
				squares += v * v
			}
			mean := sum / n
			stderr := math.Sqrt((squares/n - mean*mean) / n)
			if math.IsNaN(mean) || math.Abs(mean-want) > 6*stderr {
				t.Errorf("%s of %d dimensions: %s %g ± %g by samples, %g by formula", c.name, c.dim, what, mean, stderr, want)
			}
		}
		near("entropy", d.Entropy, func(i int) float64 { return surprise[i] })
		for j := range d.Dim {
			near("mean", d.Mean[j], func(i int) float64 { return x[i*d.Dim+j] })
			for k := range j + 1 {
				near("covariance", d.Cov.At(j, k), func(i int) float64 {
					return (x[i*d.Dim+j] - d.Mean[j]) * (x[i*d.Dim+k] - d.Mean[k])
				})
			}
		}

		exec := MustNewExec(enginetest.Backend(t), func(x *Node) *Node { logP, _ := d.Target.Score(x); return logP })
		const few = 60
		logP := tensors.MustCopyFlatData[float64](exec.MustCall(tensors.FromFlatDataAndDimensions(x[:few*d.Dim], 3, few/3, d.Dim))[0])
		constant := logP[0] + surprise[0]
		for i, lp := range logP {
			if math.Abs(lp+surprise[i]-constant) > 1e-8 {
				t.Errorf("%s: log density %d differs by %g, the first by %g", c.name, i, lp+surprise[i], constant)
			}
		}
	}
}

func TestDensityErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		dim  int
		want string
	}{
		{"gmm3", 2, "gaussian, gaussian-full, gmm2, gmm4, ring, box"},
		{"gmm4", 1, "want at least 2"},
		{"ring", 3, "want 2"},
		{"gaussian", 0, "want at least 1"},
	} {
		if _, err := known.NewDensity(c.name, c.dim); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %d dimensions: error %v, want %q in it", c.name, c.dim, err, c.want)
		}
	}
}
