package ebm

import (
	"math"
	"math/rand/v2"
)

// Rounds of Lloyd's algorithm: the groups change little after a few.
const groupRounds = 10

// groups clusters images [N, D] into as many groups as mean [K, D] has rows (Lloyd's
// algorithm, starting from random images) and computes each group's mean and variance per
// value. An empty group gets those of a single image.
func groups(pictures []float32, d int, mean, variance []float32, seed uint64) {
	n, k := len(pictures)/d, len(mean)/d
	rng := rand.New(rand.NewPCG(seed, 0))
	for i, from := range rng.Perm(n)[:min(k, n)] {
		copy(mean[i*d:(i+1)*d], pictures[from*d:(from+1)*d])
	}
	member := make([]int, n)
	for range groupRounds {
		for i := range n {
			member[i] = closest(pictures[i*d:(i+1)*d], mean, d)
		}
		moments(pictures, member, d, mean, variance)
	}
}

// closest is the row of means nearest to an image.
func closest(picture, means []float32, d int) int {
	best, least := 0, float32(math.Inf(1))
	for i := range len(means) / d {
		var sum float32
		for j, m := range means[i*d : (i+1)*d] {
			diff := picture[j] - m
			sum += diff * diff
		}
		if sum < least {
			best, least = i, sum
		}
	}
	return best
}

// moments computes the mean and variance of every value over the members of each group.
// An empty group keeps its mean.
func moments(pictures []float32, member []int, d int, mean, variance []float32) {
	k := len(mean) / d
	count, sum, square := make([]float64, k), make([]float64, k*d), make([]float64, k*d)
	for i, g := range member {
		count[g]++
		for j, x := range pictures[i*d : (i+1)*d] {
			sum[g*d+j] += float64(x)
			square[g*d+j] += float64(x) * float64(x)
		}
	}
	for g := range k {
		if count[g] == 0 {
			continue
		}
		for j := g * d; j < (g+1)*d; j++ {
			m := sum[j] / count[g]
			mean[j], variance[j] = float32(m), float32(max(0, square[j]/count[g]-m*m))
		}
	}
}

// NearestNormals clusters images, [N, D], into k groups and returns, for each image, a
// draw from its group's normal distribution with independent values, [N, D]: the output
// of a model that knows only the groups.
func NearestNormals(pictures []float32, d, k int, seed uint64) []float32 {
	mean, variance := make([]float32, k*d), make([]float32, k*d)
	groups(pictures, d, mean, variance, seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	drawn := make([]float32, len(pictures))
	for i := 0; i < len(pictures); i += d {
		from := d * closest(pictures[i:i+d], mean, d)
		for j := range d {
			std := math.Sqrt(float64(variance[from+j]))
			drawn[i+j] = mean[from+j] + float32(std*rng.NormFloat64())
		}
	}
	return drawn
}
