package experiments

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// A Summary is what the returns of some episodes come to.
type Summary struct {
	Episodes int     `json:"episodes"`
	Mean     float64 `json:"mean"`
	Std      float64 `json:"std"` // of the episodes, with n in the denominator as NumPy has it
	IQM      float64 `json:"iqm"` // mean of the middle half
	Min      float64 `json:"min"`
	Max      float64 `json:"max"`
	Length   float64 `json:"mean_length"` // steps
}

// Summarize sums up episodes; there must be one.
func Summarize(returns []float64, lengths []int) Summary {
	s := Summary{
		Episodes: len(returns), Mean: stat.Mean(returns, nil), IQM: iqm(returns),
		Min: slices.Min(returns), Max: slices.Max(returns),
	}
	s.Std = math.Sqrt(stat.PopVariance(returns, nil))
	for _, n := range lengths {
		s.Length += float64(n) / float64(len(lengths))
	}
	return s
}

// iqm is the interquartile mean: the lowest and the highest quarter, each rounded
// down to whole values, are left out (as rliable and SciPy's trim_mean do).
func iqm(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	cut := len(sorted) / 4
	return stat.Mean(sorted[cut:len(sorted)-cut], nil)
}
