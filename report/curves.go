package report

import (
	"math"
	"slices"
	"sort"
)

// maxPoints is the maximum number of points of a drawn curve.
const maxPoints = 240

// curve interpolates a figure of a group's runs at common steps: all recorded steps
// within the range that every run covers. values are [run][point]; runs without the
// figure are omitted.
func (g *Group) curve(metric string) (steps []float64, values [][]float64) {
	from, to := math.Inf(-1), math.Inf(1)
	var all []series
	for _, r := range g.Runs {
		s := r.series[metric]
		if len(s.steps) == 0 {
			continue
		}
		all = append(all, s)
		from, to = max(from, s.steps[0]), min(to, s.steps[len(s.steps)-1])
		steps = append(steps, s.steps...)
	}
	slices.Sort(steps)
	steps = slices.Compact(steps)
	steps = slices.DeleteFunc(steps, func(x float64) bool { return x < from || x > to })
	steps = thin(steps)
	if len(steps) == 0 {
		return nil, nil
	}
	for _, s := range all {
		run := make([]float64, len(steps))
		for i, x := range steps {
			run[i] = s.at(x)
		}
		values = append(values, run)
	}
	return steps, values
}

// thin keeps the first, the last, and evenly spaced steps in between.
func thin(steps []float64) []float64 {
	n := len(steps)
	if n <= maxPoints {
		return steps
	}
	kept := make([]float64, maxPoints)
	for i := range kept {
		kept[i] = steps[i*(n-1)/(maxPoints-1)]
	}
	return kept
}

// at interpolates the value at a step within the series.
func (s series) at(x float64) float64 {
	i := sort.SearchFloat64s(s.steps, x)
	if i < len(s.steps) && s.steps[i] == x || i == 0 {
		return s.values[min(i, len(s.values)-1)]
	}
	if i == len(s.steps) {
		return s.values[i-1]
	}
	share := (x - s.steps[i-1]) / (s.steps[i] - s.steps[i-1])
	return s.values[i-1] + share*(s.values[i]-s.values[i-1])
}
