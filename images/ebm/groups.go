package ebm

import (
	"math"
	"math/rand/v2"
)

// Rounds of Lloyd's algorithm: groups of pictures hardly change after a few.
const groupRounds = 10

// groups parts pictures [N, D] into as many groups of alike ones as mean [K, D] has rows
// (Lloyd's algorithm, from pictures drawn at random) and fills in each group's mean and
// variance of every value. A group that ends empty has those of a single picture.
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

// closest is the row of means that is nearest to a picture.
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

// moments are the mean and variance of every value over the members of each group. An
// empty group keeps its mean.
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

// NearestNormals parts pictures, [N, D], into k groups of alike ones and answers for each
// picture a draw from the normal distribution of its group, each value by itself, [N, D]:
// what a model that knows nothing but groups would draw.
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
