package fid

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// A Gaussian is what the Fréchet distance knows of features: their number, mean and
// covariance (unbiased).
type Gaussian struct {
	N    int
	Mean []float64
	Cov  *mat.SymDense
	root *mat.SymDense // of Cov; nil until it is needed
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
	const rows = 1024 // as float64 at a time
	cov := mat.NewSymDense(f.Dim, nil)
	for at := 0; at < f.N; at += rows {
		n := min(rows, f.N-at)
		centred := make([]float64, n*f.Dim)
		for i := range centred {
			centred[i] = float64(f.Values[at*f.Dim+i]) - g.Mean[i%f.Dim]
		}
		blas64.Syrk(blas.Trans, 1/float64(f.N-1), blas64.General{Rows: n, Cols: f.Dim, Stride: f.Dim, Data: centred}, 1, cov.RawSymmetric())
	}
	g.Cov = cov
	return g, nil
}

// Frechet is the squared Fréchet distance of two Gaussians (Dowson & Landau 1982;
// Heusel et al. 2017):
//
//	|μa − μb|² + tr(Ca + Cb − 2·(Ca·Cb)^½)
//
// The trace of the root is that of (R·Cb·R)^½ with R = Ca^½, all of it symmetric, so that
// no imaginary parts arise that would have to be thrown away.
func Frechet(a, b *Gaussian) (float64, error) {
	if len(a.Mean) != len(b.Mean) {
		return 0, fmt.Errorf("fid: features of %d and of %d dimensions", len(a.Mean), len(b.Mean))
	}
	sum := mat.Trace(a.Cov) + mat.Trace(b.Cov)
	for i := range a.Mean {
		d := a.Mean[i] - b.Mean[i]
		sum += d * d
	}
	r, err := a.rootCov()
	if err != nil {
		return 0, err
	}
	dim := len(a.Mean)
	var half, inner mat.Dense
	half.Mul(r, b.Cov)
	inner.Mul(&half, r)
	symmetric := mat.NewSymDense(dim, nil)
	for i := range dim {
		for j := i; j < dim; j++ {
			symmetric.SetSym(i, j, (inner.At(i, j)+inner.At(j, i))/2)
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(symmetric, false) {
		return 0, fmt.Errorf("fid: the product of the covariances has no eigenvalues that can be found")
	}
	for _, v := range eigen.Values(nil) {
		sum -= 2 * math.Sqrt(max(0, v)) // below zero by rounding only
	}
	return sum, nil
}

// rootCov is the symmetric square root of the covariance.
func (g *Gaussian) rootCov() (*mat.SymDense, error) {
	if g.root != nil {
		return g.root, nil
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(g.Cov, true) {
		return nil, fmt.Errorf("fid: the covariance has no eigenvalues that can be found")
	}
	var vectors, scaled mat.Dense
	eigen.VectorsTo(&vectors)
	scaled.CloneFrom(&vectors)
	for j, v := range eigen.Values(nil) {
		quarter := math.Sqrt(math.Sqrt(max(0, v)))
		for i := range len(g.Mean) {
			scaled.Set(i, j, quarter*scaled.At(i, j))
		}
	}
	g.root = mat.NewSymDense(len(g.Mean), nil)
	g.root.SymOuterK(1, &scaled)
	return g.root, nil
}
