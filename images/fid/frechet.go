package fid

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// A Gaussian holds the statistics of features for the Fréchet distance: their number,
// mean and unbiased covariance C, as a factor F with C = FᵀF.
type Gaussian struct {
	N      int
	Mean   []float64
	factor *mat.Dense // [rank, D]
}

// Fit computes the mean and covariance of features in float64.
func (f Features) Fit() (*Gaussian, error) {
	if f.N < 2 {
		return nil, fmt.Errorf("fid: %d images have no covariance: want at least 2", f.N)
	}
	g := &Gaussian{N: f.N, Mean: make([]float64, f.Dim)}
	for i, v := range f.Values {
		if x := float64(v); math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("fid: feature %d of image %d is %g", i%f.Dim, i/f.Dim, x)
		}
		g.Mean[i%f.Dim] += float64(v) / float64(f.N)
	}
	scale := 1 / math.Sqrt(float64(f.N-1))
	if f.N <= f.Dim { // the centred features are a factor, and smaller
		g.factor = mat.NewDense(f.N, f.Dim, f.centred(g.Mean, scale, 0, f.N))
		return g, nil
	}
	const rows = 1024 // converted to float64 at a time
	cov := mat.NewSymDense(f.Dim, nil)
	for at := 0; at < f.N; at += rows {
		n := min(rows, f.N-at)
		part := blas64.General{Rows: n, Cols: f.Dim, Stride: f.Dim, Data: f.centred(g.Mean, scale, at, at+n)}
		blas64.Syrk(blas.Trans, 1, part, 1, cov.RawSymmetric())
	}
	g.factor = factorOf(cov)
	return g, nil
}

// centred is the rows [from, to) minus the mean, times scale.
func (f Features) centred(mean []float64, scale float64, from, to int) []float64 {
	values := make([]float64, (to-from)*f.Dim)
	for i := range values {
		values[i] = scale * (float64(f.Values[from*f.Dim+i]) - mean[i%f.Dim])
	}
	return values
}

// factorOf is the pivoted Cholesky factor, which also exists for singular covariances,
// such as with a feature that is always zero.
func factorOf(cov *mat.SymDense) *mat.Dense {
	var c mat.PivotedCholesky
	c.Factorize(cov, -1) // it returns whether the rank is full
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
// With C = FᵀF, the eigenvalues of Ca·Cb are the squared singular values of Fa·Fbᵀ, so
// the trace of the root is the sum of the singular values. There are no imaginary parts
// to discard, and few images need only small matrices.
func Frechet(a, b *Gaussian) (float64, error) {
	if len(a.Mean) != len(b.Mean) {
		return 0, fmt.Errorf("fid: features have different dimensions: %d and %d", len(a.Mean), len(b.Mean))
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
	return max(0, sum), nil // negative only by rounding
}

// Divisors of the number of images for the extrapolation.
var fewer = []float64{1, 1.6, 2.2, 2.8, 3.4, 4}

// frechetInfinite extrapolates the distance to infinitely many images (Chong & Forsyth
// 2020). The bias is about proportional to 1/n, so a line through the distances of
// smaller subsets, over 1/n, gives the limit at 0. Unlike the paper, it reduces both
// sets, which also removes the reference's bias. If there are several disjoint subsets of
// a size, it averages over them.
func frechetInfinite(a, b Features) (float64, error) {
	n := min(a.N, b.N)
	if n < 2*int(fewer[len(fewer)-1]) {
		return 0, fmt.Errorf("fid: %d images are too few to extrapolate the distance", n)
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

// rows returns the rows [from, to).
func (f Features) rows(from, to int) Features {
	return Features{N: to - from, Dim: f.Dim, Values: f.Values[from*f.Dim : to*f.Dim]}
}

// singularValues are the roots of the eigenvalues of the smaller of m·mᵀ and mᵀ·m. This
// is several times faster than gonum's SVD, with an error below 1e-8 of the largest
// value.
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
		return nil, fmt.Errorf("fid: the eigenvalues of the covariances' product did not converge")
	}
	values := eigen.Values(nil)
	for i, v := range values {
		values[i] = math.Sqrt(max(0, v)) // negative only by rounding
	}
	return values, nil
}
