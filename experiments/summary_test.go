package experiments

import (
	"math"
	"testing"
)

// Ensure that the figures are NumPy's and SciPy's: np.mean, np.std, and
// scipy.stats.trim_mean(x, 0.25).
func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		returns        []float64
		mean, std, iqm float64
	}{
		{[]float64{3}, 3, 0, 3},
		{[]float64{1, 100, 3}, 104.0 / 3, 46.20485785, 104.0 / 3},
		{[]float64{9, 1, 2, 3, 100, -50, 4}, 69.0 / 7, 41.28447848, 19.0 / 5},
		{[]float64{8, 7, 6, 5, 4, 3, 2, 1}, 4.5, 2.29128785, 4.5},
	} {
		s := Summarize(c.returns, []int{10, 20})
		for name, d := range map[string]float64{"mean": s.Mean - c.mean, "std": s.Std - c.std, "iqm": s.IQM - c.iqm, "length": s.Length - 15} {
			if math.Abs(d) > 1e-6 {
				t.Errorf("%v: %s is off by %g", c.returns, name, d)
			}
		}
	}
}
