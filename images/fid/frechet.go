package fid

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// A Gaussian is what the Fréchet distance knows of features: their number, mean and
// covariance C (unbiased), as a factor F with C = FᵀF.
type Gaussian struct {
	N      int
	Mean   []float64
	factor *mat.Dense // [rank, D]
}

// Fit gives the mean and covariance of features, in float64.
func (f Features) Fit() (*Gaussian, error) {
	if f.N < 2 {
		return nil, fmt.Errorf("fid: %d pictures have no covariance: want 2 or more", f.N)
	}
	g := &Gaussian{N: f.N, Mean: make([]float64, f.Dim)}
	for i, v := range f.Values {
		if x := float64(v); math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("fid: feature %d of picture %d is %g", i%f.Dim, i/f.Dim, x)
		}
		g.Mean[i%f.Dim] += float64(v) / float64(f.N)
	}
	scale := 1 / math.Sqrt(float64(f.N-1))
	if f.N <= f.Dim { // what is centred is itself a factor, and the smaller one
		g.factor = mat.NewDense(f.N, f.Dim, f.centred(g.Mean, scale, 0, f.N))
		return g, nil
	}
	const rows = 1024 // as float64 at a time
	cov := mat.NewSymDense(f.Dim, nil)
	for at := 0; at < f.N; at += rows {
		n := min(rows, f.N-at)
		part := blas64.General{Rows: n, Cols: f.Dim, Stride: f.Dim, Data: f.centred(g.Mean, scale, at, at+n)}
		blas64.Syrk(blas.Trans, 1, part, 1, cov.RawSymmetric())
	}
	g.factor = factorOf(cov)
	return g, nil
}

// centred is rows from to to without the mean, times scale.
func (f Features) centred(mean []float64, scale float64, from, to int) []float64 {
	values := make([]float64, (to-from)*f.Dim)
	for i := range values {
		values[i] = scale * (float64(f.Values[from*f.Dim+i]) - mean[i%f.Dim])
	}
	return values
}

// factorOf is the Cholesky factor with pivots, which also exists where a covariance is
// singular, as it is when some feature is always zero.
func factorOf(cov *mat.SymDense) *mat.Dense {
	var c mat.PivotedCholesky
	c.Factorize(cov, -1) // what it answers is whether the rank is full
	var u mat.TriDense
	c.UTo(&u)
	dim, rank := cov.SymmetricDim(), max(1, c.Rank())
	factor := mat.NewDense(rank, dim, nil)
	for k, column := range c.ColumnPivots(nil) {
		for i := range min(rank, k+1) {
			factor.Set(i, column, u.At(i, k))
		}
	}
	return factor
}

// Frechet is the squared Fréchet distance of two Gaussians (Dowson & Landau 1982;
// Heusel et al. 2017):
//
//	|μa − μb|² + tr(Ca + Cb − 2·(Ca·Cb)^½)
//
// With C = FᵀF the eigenvalues of Ca·Cb are the squares of the singular values of
// Fa·Fbᵀ, so that the trace of the root is their sum: nothing imaginary arises that
// would have to be thrown away, and few pictures make small matrices.
func Frechet(a, b *Gaussian) (float64, error) {
	if len(a.Mean) != len(b.Mean) {
		return 0, fmt.Errorf("fid: features of %d and of %d dimensions", len(a.Mean), len(b.Mean))
	}
	var sum float64
	for i := range a.Mean {
		d := a.Mean[i] - b.Mean[i]
		sum += d * d
	}
	for _, g := range []*Gaussian{a, b} {
		norm := mat.Norm(g.factor, 2) // Frobenius: its square is tr C
		sum += norm * norm
	}
	var product mat.Dense
	product.Mul(a.factor, b.factor.T())
	singular, err := singularValues(&product)
	if err != nil {
		return 0, err
	}
	for _, s := range singular {
		sum -= 2 * s
	}
	return max(0, sum), nil // below zero by rounding only
}

// Shares of the pictures that the distance is taken of to see where it goes with their
// number: 1 over these.
var fewer = []float64{1, 1.6, 2.2, 2.8, 3.4, 4}

// frechetInfinite is the distance that infinitely many pictures of both sets would have
// (Chong & Forsyth 2020): that of n is larger by about a constant over n, so that a line
// through the distances of fewer and fewer, over 1/n, meets 0 there. Unlike theirs, both
// sets are taken smaller, so that the reference's own part goes too. Where few pictures
// are left over from one part, the mean over several parts is taken.
func frechetInfinite(a, b Features) (float64, error) {
	n := min(a.N, b.N)
	if n < 2*int(fewer[len(fewer)-1]) {
		return 0, fmt.Errorf("fid: %d pictures are too few to see how the distance goes with their number", n)
	}
	distances := make([]float64, len(fewer))
	for i, times := range fewer {
		size := int(float64(n) / times)
		parts := n / size
		for part := range parts {
			x, err := a.rows(part*size, (part+1)*size).Fit()
			if err != nil {
				return 0, err
			}
			y, err := b.rows(part*size, (part+1)*size).Fit()
			if err != nil {
				return 0, err
			}
			d, err := Frechet(x, y)
			if err != nil {
				return 0, err
			}
			distances[i] += d / float64(parts)
		}
	}
	intercept, _ := stat.LinearRegression(fewer, distances, nil, false)
	return intercept, nil
}

// rows are those from one to before another.
func (f Features) rows(from, to int) Features {
	return Features{N: to - from, Dim: f.Dim, Values: f.Values[from*f.Dim : to*f.Dim]}
}

// singularValues are the roots of the eigenvalues of the smaller of m·mᵀ and mᵀ·m,
// which is several times faster than gonum's decomposition of m itself. What that costs
// in precision is below 1e-8 of the largest for each.
func singularValues(m *mat.Dense) ([]float64, error) {
	rows, columns := m.Dims()
	var square mat.SymDense
	if rows <= columns {
		square.SymOuterK(1, m)
	} else {
		square.SymOuterK(1, m.T())
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(&square, false) {
		return nil, fmt.Errorf("fid: the product of the covariances has no eigenvalues that can be found")
	}
	values := eigen.Values(nil)
	for i, v := range values {
		values[i] = math.Sqrt(max(0, v)) // below zero by rounding only
	}
	return values, nil
}
