package known

import (
	"math"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// A Result holds the final particles of one run and the sampler's estimates.
type Result struct {
	Config Config
	X      []float64   // [B, M, D]
	LogQ   []float64   // [B, M]; nil without a density
	Path   [][]float64 // [L+1][M·D], system 0 at every step; nil without Config.Path

	StepSize  float64 // mean ε over systems and steps, after the bound
	Bandwidth float64 // mean σ; NaN without a bandwidth
	Accepted  float64 // mean share of proposals accepted; NaN without an accept test

	FitTime, Time time.Duration // duration of the fit; of one compiled run
}

// Entropies are the estimates −mean log q in nats, one per system, [B]; nil if the
// sampler has no density.
func (r Result) Entropies() []float64 {
	if r.LogQ == nil {
		return nil
	}
	m := r.Config.Particles
	h := make([]float64, r.Config.Systems)
	for b := range h {
		h[b] = -stat.Mean(r.LogQ[b*m:(b+1)*m], nil)
	}
	return h
}

// Entropy is the mean of the systems' estimates and its standard error over systems. Both
// are NaN if the sampler has no density; the error also with a single system.
func (r Result) Entropy() (mean, stderr float64) {
	h := r.Entropies()
	switch len(h) {
	case 0:
		return math.NaN(), math.NaN()
	case 1:
		return h[0], math.NaN()
	}
	mean, std := stat.MeanStdDev(h, nil)
	return mean, std / math.Sqrt(float64(len(h)))
}

// EntropyError is the mean absolute error of the systems' estimates and its standard
// error over systems.
func (r Result) EntropyError() (mean, stderr float64) {
	errs := r.Entropies()
	if errs == nil {
		return math.NaN(), math.NaN()
	}
	for i, h := range errs {
		errs[i] = math.Abs(h - r.Config.Density.Entropy)
	}
	if len(errs) == 1 {
		return errs[0], math.NaN()
	}
	mean, std := stat.MeanStdDev(errs, nil)
	return mean, std / math.Sqrt(float64(len(errs)))
}

// MomentErrors compares all particles of all systems with the density: the distance of
// the means and of the covariances (Frobenius), relative to the true ones.
func (r Result) MomentErrors() (mean, cov float64) {
	d := r.Config.Density
	x := mat.NewDense(len(r.X)/d.Dim, d.Dim, r.X)
	centre := make([]float64, d.Dim)
	for j := range centre {
		centre[j] = stat.Mean(mat.Col(nil, j, x), nil)
	}
	got := mat.NewSymDense(d.Dim, nil)
	if x.RawMatrix().Rows > 1 {
		stat.CovarianceMatrix(got, x, nil)
	}
	var off mat.Dense
	off.Sub(got, d.Cov)
	return floats.Distance(centre, d.Mean, 2), mat.Norm(&off, 2) / mat.Norm(d.Cov, 2)
}

// EffectiveShare is the effective sample size (Σw)²/Σw² of the weights p/q divided by the
// number of particles, averaged over systems. It is 1 if q is p, and NaN if the sampler
// has no density.
func (r Result) EffectiveShare() float64 {
	if r.LogQ == nil {
		return math.NaN()
	}
	d, m := r.Config.Density, r.Config.Particles
	var total float64
	logW := make([]float64, m)
	for b := range r.Config.Systems {
		for i := range m {
			at := b*m + i
			logW[i] = d.LogDensity(r.X[at*d.Dim:(at+1)*d.Dim]) - r.LogQ[at]
		}
		sum := floats.LogSumExp(logW)
		floats.Scale(2, logW)
		total += math.Exp(2*sum - floats.LogSumExp(logW))
	}
	return total / float64(r.Config.Systems*m)
}
