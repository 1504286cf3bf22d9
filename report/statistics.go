package report

import (
	"slices"
)

// Scores are the final scores of a method's runs for each task. They are the transpose of
// rliable's matrix, so that tasks may have different numbers of runs.
type Scores [][]float64 // [task][run]

// A Statistic computes one number from scores. It must not keep or change them.
type Statistic func(Scores) float64

// Mean is the mean over tasks of the mean over runs.
func Mean(s Scores) float64 { return mean(taskMeans(s)) }

// Median is the median over tasks of the mean over runs, as in rliable. With one task it
// is that task's mean; RunMedian is the median of the runs.
func Median(s Scores) float64 { return median(taskMeans(s)) }

// RunMedian is the median of all runs of all tasks.
func RunMedian(s Scores) float64 { return median(slices.Concat(s...)) }

// IQM is the interquartile mean: the mean of all runs of all tasks without the lowest and
// the highest quarter (Agarwal et al. 2021, §4.3).
func IQM(s Scores) float64 { return trimmedMean(slices.Concat(s...)) }

// OptimalityGap is the mean amount by which runs are below gamma; scores above it count
// as gamma.
func OptimalityGap(gamma float64) Statistic {
	return func(s Scores) float64 {
		sum, n := 0.0, 0
		for _, task := range s {
			for _, x := range task {
				sum += min(x, gamma)
			}
			n += len(task)
		}
		return gamma - sum/float64(n)
	}
}

// Improvement is the probability that a run of x is better than a run of y: the fraction
// of pairs of a task in which it is, with ties counting half, averaged over tasks. Both
// must have the same tasks.
func Improvement(x, y Scores) float64 {
	sum := 0.0
	for task := range x {
		wins := 0.0
		for _, a := range x[task] {
			for _, b := range y[task] {
				switch {
				case a > b:
					wins++
				case a == b:
					wins += 0.5
				}
			}
		}
		sum += wins / float64(len(x[task])*len(y[task]))
	}
	return sum / float64(len(x))
}

// Profile is the fraction of runs, over all tasks, whose score is above tau.
func Profile(tau float64) Statistic {
	return func(s Scores) float64 {
		above, n := 0, 0
		for _, task := range s {
			for _, x := range task {
				if x > tau {
					above++
				}
			}
			n += len(task)
		}
		return float64(above) / float64(n)
	}
}

// negated is the scores with the opposite sign, so that lower becomes higher.
func (s Scores) negated() Scores {
	out := make(Scores, len(s))
	for i, task := range s {
		out[i] = make([]float64, len(task))
		for j, x := range task {
			out[i][j] = -x
		}
	}
	return out
}

func taskMeans(s Scores) []float64 {
	means := make([]float64, len(s))
	for i, task := range s {
		means[i] = mean(task)
	}
	return means
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// median sorts x.
func median(x []float64) float64 {
	slices.Sort(x)
	half := len(x) / 2
	if len(x)%2 == 1 {
		return x[half]
	}
	return (x[half-1] + x[half]) / 2
}

// trimmedMean drops ⌊n/4⌋ numbers at each end, like scipy's trim_mean. It sorts x.
func trimmedMean(x []float64) float64 {
	slices.Sort(x)
	cut := len(x) / 4
	return mean(x[cut : len(x)-cut])
}
