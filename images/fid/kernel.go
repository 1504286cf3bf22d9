package fid

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/stat"
)

// KID estimates the squared maximum mean discrepancy with the kernel (x·y/D + 1)³
// (Bińkowski et al. 2018): the mean over subsets of the unbiased estimate, and its
// standard deviation over them. Subsets are of size pictures of each, drawn without
// replacement by seed; where that is all of the fewer ones, one subset of those is
// compared with as many of the others.
func KID(a, b Features, subsets, size int, seed uint64) (mean, std float64, err error) {
	if a.Dim != b.Dim {
		return 0, 0, fmt.Errorf("fid: features of %d and of %d dimensions", a.Dim, b.Dim)
	}
	size = min(size, a.N, b.N)
	if size < 2 || subsets < 1 {
		return 0, 0, fmt.Errorf("fid: %d subsets of %d pictures: want 1 or more of 2 or more", subsets, size)
	}
	if size == a.N && size == b.N {
		subsets = 1 // all are the same
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	each := make([]float64, subsets)
	for i := range each {
		x, y := a.choose(size, rng), b.choose(size, rng)
		within := kernelSum(x, x, a.Dim, true) + kernelSum(y, y, a.Dim, true)
		across := kernelSum(x, y, a.Dim, false)
		n := float64(size)
		each[i] = within/(n*(n-1)) - 2*across/(n*n)
	}
	mean, std = stat.PopMeanStdDev(each, nil)
	return mean, std, nil
}

// choose takes n rows as float64, in the order of the rows where that is all.
func (f Features) choose(n int, rng *rand.Rand) []float64 {
	rows := rng.Perm(f.N)[:n]
	if n == f.N {
		for i := range rows {
			rows[i] = i
		}
	}
	values := make([]float64, 0, n*f.Dim)
	for _, r := range rows {
		for _, v := range f.Values[r*f.Dim : (r+1)*f.Dim] {
			values = append(values, float64(v))
		}
	}
	return values
}

// kernelSum is the sum of the kernel over all pairs of rows, or all of different ones.
func kernelSum(x, y []float64, dim int, different bool) float64 {
	n := len(x) / dim
	product := blas64.General{Rows: n, Cols: n, Stride: n, Data: make([]float64, n*n)}
	matrix := func(v []float64) blas64.General {
		return blas64.General{Rows: n, Cols: dim, Stride: dim, Data: v}
	}
	blas64.Gemm(blas.NoTrans, blas.Trans, 1/float64(dim), matrix(x), matrix(y), 0, product)
	var sum float64
	for i, v := range product.Data {
		if !different || i/n != i%n {
			sum += (v + 1) * (v + 1) * (v + 1)
		}
	}
	return sum
}

// InceptionScore is exp E KL(p(y|x) ‖ p(y)) over parts of the pictures in their order,
// mean and standard deviation (Salimans et al. 2016), of a classifier's logits for each
// picture, [N, classes].
func InceptionScore(logits Features, parts int) (mean, std float64, err error) {
	if parts < 1 || logits.N < parts {
		return 0, 0, fmt.Errorf("fid: an inception score of %d pictures in %d parts", logits.N, parts)
	}
	scores := make([]float64, parts)
	for i := range scores {
		from, to := i*logits.N/parts, (i+1)*logits.N/parts
		marginal := make([]float64, logits.Dim)
		var entropy float64 // Σ p log p over pictures and classes
		for row := from; row < to; row++ {
			p := softmax(logits.Values[row*logits.Dim : (row+1)*logits.Dim])
			for c, v := range p {
				marginal[c] += v / float64(to-from)
				if v > 0 {
					entropy += v * math.Log(v)
				}
			}
		}
		kl := entropy / float64(to-from)
		for _, v := range marginal {
			if v > 0 {
				kl -= v * math.Log(v)
			}
		}
		scores[i] = math.Exp(kl)
	}
	mean, std = stat.PopMeanStdDev(scores, nil)
	return mean, std, nil
}

func softmax(logits []float32) []float64 {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v))
	}
	p := make([]float64, len(logits))
	var sum float64
	for i, v := range logits {
		p[i] = math.Exp(float64(v) - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}
