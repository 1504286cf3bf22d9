package report

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// A Bootstrap computes confidence intervals: it resamples the runs of each task with
// replacement (stratified), computes the statistic of each resample, and takes the
// percentiles that enclose the middle Level.
type Bootstrap struct {
	Resamples int     // 0: 2000
	Level     float64 // 0: 0.95
	Seed      uint64
}

// An Interval is a statistic with its confidence interval.
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// MostResamples limits the memory: every interval keeps all its resamples until they are
// sorted.
const MostResamples = 100_000

// UsedResamples is Resamples or its default.
func (b Bootstrap) UsedResamples() int {
	if b.Resamples == 0 {
		return 2000
	}
	return b.Resamples
}

// UsedLevel is Level or its default.
func (b Bootstrap) UsedLevel() float64 {
	if b.Level == 0 {
		return 0.95
	}
	return b.Level
}

func (b Bootstrap) validate() error {
	if b.UsedResamples() < 1 || b.UsedResamples() > MostResamples || !(b.UsedLevel() > 0 && b.UsedLevel() < 1) {
		return fmt.Errorf("report: bootstrap with %d resamples at level %g: want 1 to 100,000 resamples and a level between 0 and 1", b.UsedResamples(), b.UsedLevel())
	}
	return nil
}

// choice is a resample: the run that replaces each run.
type choice [][]int // [task][run]

// draws returns a generator of resamples for tasks with these numbers of runs.
func (b Bootstrap) draws(runs []int) func() choice {
	rng := rand.New(rand.NewPCG(b.Seed, 0x5ce1e))
	d := make(choice, len(runs))
	for i, n := range runs {
		d[i] = make([]int, n)
	}
	return func() choice {
		for _, task := range d {
			for i := range task {
				task[i] = rng.IntN(len(task))
			}
		}
		return d
	}
}

// Intervals returns several statistics of the same scores, from the same resamples.
func (b Bootstrap) Intervals(s Scores, of ...Statistic) []Interval {
	return b.intervals(s, b.draws(s.runs()), of)
}

// Interval returns one statistic with its interval.
func (b Bootstrap) Interval(s Scores, of Statistic) Interval { return b.Intervals(s, of)[0] }

func (b Bootstrap) intervals(s Scores, next func() choice, of []Statistic) []Interval {
	drawn := make(Scores, len(s))
	for i, task := range s {
		drawn[i] = make([]float64, len(task))
	}
	values := make([][]float64, len(of))
	for range b.UsedResamples() {
		s.resample(next(), drawn)
		for i, statistic := range of {
			values[i] = append(values[i], statistic(drawn))
		}
	}
	all := make([]Interval, len(of))
	for i, statistic := range of {
		all[i] = b.interval(statistic(s), values[i])
	}
	return all
}

// Improvement is the probability of improvement of x over y. The runs of both are
// resampled independently.
func (b Bootstrap) Improvement(x, y Scores) Interval {
	next := b.draws(append(x.runs(), y.runs()...))
	return b.improvement(x, y, func() (choice, choice) {
		d := next()
		return d[:len(x)], d[len(x):]
	})
}

func (b Bootstrap) improvement(x, y Scores, next func() (choice, choice)) Interval {
	var values []float64
	xs, ys := x.clone(), y.clone()
	for range b.UsedResamples() {
		dx, dy := next()
		x.resample(dx, xs)
		y.resample(dy, ys)
		values = append(values, Improvement(xs, ys))
	}
	return b.interval(Improvement(x, y), values)
}

// Curve is the interquartile mean over runs at each point of their curves: rliable's
// sample-efficiency curve of one task. A resample uses the same runs at all points,
// whereas rliable resamples at each point; the interval of a point has the same
// distribution. runs is [run][point].
func (b Bootstrap) Curve(runs [][]float64) []Interval {
	return b.curve(runs, b.draws([]int{len(runs)}))
}

func (b Bootstrap) curve(runs [][]float64, next func() choice) []Interval {
	points := len(runs[0])
	values := make([][]float64, points)
	for p := range values {
		values[p] = make([]float64, 0, b.UsedResamples())
	}
	column := make([]float64, len(runs))
	for range b.UsedResamples() {
		d := next()[0]
		for p := range points {
			for i, from := range d {
				column[i] = runs[from][p]
			}
			values[p] = append(values[p], trimmedMean(column))
		}
	}
	all := make([]Interval, points)
	for p := range points {
		for i := range runs {
			column[i] = runs[i][p]
		}
		all[p] = b.interval(trimmedMean(column), values[p])
	}
	return all
}

// interval computes the percentiles. It sorts values.
func (b Bootstrap) interval(value float64, values []float64) Interval {
	slices.Sort(values)
	tail := (1 - b.UsedLevel()) / 2
	return Interval{value, percentile(values, tail), percentile(values, 1-tail)}
}

// percentile interpolates linearly between sorted numbers, like numpy.
func percentile(sorted []float64, share float64) float64 {
	at := share * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

func (s Scores) runs() []int {
	runs := make([]int, len(s))
	for i, task := range s {
		runs[i] = len(task)
	}
	return runs
}

func (s Scores) clone() Scores {
	c := make(Scores, len(s))
	for i, task := range s {
		c[i] = slices.Clone(task)
	}
	return c
}

func (s Scores) resample(d choice, into Scores) {
	for task, from := range d {
		for i, run := range from {
			into[task][i] = s[task][run]
		}
	}
}
