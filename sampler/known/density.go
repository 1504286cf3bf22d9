// Package known runs the samplers on densities with known entropy and moments, to check
// the samplers' estimates.
package known

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"
	"gonum.org/v1/gonum/mat"

	"github.com/stein-rl/stein/sampler"
)

// A Density is a target whose entropy, moments and exact samples are known.
type Density struct {
	Name    string
	Dim     int            // D
	Target  sampler.Target // log p̄, not normalised
	Entropy float64        // in nats; exact, or by quadrature to 1e-9
	Mean    []float64      // [D]
	Cov     *mat.SymDense  // [D, D]

	// LogDensity is log p at x [D], normalised.
	LogDensity func(x []float64) float64
	// Draw fills x [D] with an exact sample.
	Draw func(rng *rand.Rand, x []float64)
}

// Densities lists the names that NewDensity accepts.
func Densities() []string {
	return []string{"gaussian", "gaussian-full", "gmm2", "gmm4", "ring", "box"}
}

// NewDensity returns the named density in D dimensions.
//
//   - gaussian: the standard normal, D ≥ 1
//   - gaussian-full: correlated, D = 2
//   - gmm2: two modes 4 apart, standard deviation 0.7, D ≥ 1
//   - gmm4: four modes on the corners of a square of side 4, standard deviation 0.7, D ≥ 2
//   - ring: radius 3, width 0.4, D = 2
//   - box: u with tanh u uniform on (−1, 1)^D, D ≥ 1
func NewDensity(name string, dim int) (Density, error) {
	const apart, std = 2, 0.7
	least, most := 1, math.MaxInt
	var build func() Density
	switch name {
	case "gaussian":
		build = func() Density { return mixture([][]float64{make([]float64, dim)}, isotropic(dim, 1)) }
	case "gaussian-full":
		least, most = 2, 2
		build = func() Density {
			cov := mat.NewSymDense(2, []float64{5 * 0.2260, 5 * 0.1652, 5 * 0.1652, 5 * 0.6779})
			return mixture([][]float64{{-0.6871, 0.8010}}, cov)
		}
	case "gmm2":
		build = func() Density {
			d := mixture([][]float64{point(dim, apart), point(dim, -apart)}, isotropic(dim, std*std))
			d.Entropy = pairEntropy(apart, std) + float64(dim-1)*normalEntropy(std)
			return d
		}
	case "gmm4":
		least = 2
		build = func() Density {
			d := mixture([][]float64{point(dim, apart, apart), point(dim, -apart, apart), point(dim, apart, -apart), point(dim, -apart, -apart)},
				isotropic(dim, std*std))
			// The four corners are a product of two pairs.
			d.Entropy = 2*pairEntropy(apart, std) + float64(dim-2)*normalEntropy(std)
			return d
		}
	case "ring":
		least, most = 2, 2
		build = func() Density { return ring(3, 0.4) }
	case "box":
		build = func() Density { return box(dim) }
	default:
		return Density{}, fmt.Errorf("sampling: unknown target %q, want one of %s", name, strings.Join(Densities(), ", "))
	}
	switch {
	case dim < least:
		return Density{}, fmt.Errorf("sampling: target %s in %d dimensions: want at least %d", name, dim, least)
	case dim > most:
		return Density{}, fmt.Errorf("sampling: target %s in %d dimensions: want %d", name, dim, most)
	}
	d := build()
	d.Name = name
	return d, nil
}

func point(dim int, first ...float64) []float64 {
	x := make([]float64, dim)
	copy(x, first)
	return x
}

func isotropic(dim int, variance float64) *mat.SymDense {
	cov := mat.NewSymDense(dim, nil)
	for i := range dim {
		cov.SetSym(i, i, variance)
	}
	return cov
}

// mixture is a Gaussian mixture with equal weights and a shared covariance. Its Entropy
// is correct only for one component: ½ ln((2πe)^D det Σ).
func mixture(means [][]float64, cov *mat.SymDense) Density {
	dim, k := cov.SymmetricDim(), len(means)
	var chol mat.Cholesky
	if !chol.Factorize(cov) {
		panic("sampling: a covariance that is not positive definite")
	}
	var lower mat.TriDense
	chol.LTo(&lower)
	white := mat.NewDense(dim, dim, nil) // W = L⁻ᵀ: x W is white if x has covariance L Lᵀ
	if err := white.Inverse(lower.T()); err != nil {
		panic(fmt.Sprintf("sampling: whitening: %v", err))
	}
	logNorm := 0.5 * (float64(dim)*math.Log(2*math.Pi) + chol.LogDet())

	d := Density{Dim: dim, Mean: make([]float64, dim), Cov: mat.NewSymDense(dim, nil)}
	d.Entropy = logNorm + 0.5*float64(dim)
	d.Cov.CopySym(cov)
	for _, m := range means {
		for i := range dim {
			d.Mean[i] += m[i] / float64(k)
		}
	}
	for _, m := range means { // Σ + E[m mᵀ] − E[m] E[m]ᵀ
		diff := make([]float64, dim)
		for i := range dim {
			diff[i] = m[i] - d.Mean[i]
		}
		d.Cov.SymRankOne(d.Cov, 1/float64(k), mat.NewVecDense(dim, diff))
	}
	d.Draw = func(rng *rand.Rand, x []float64) {
		z := make([]float64, dim)
		for i := range z {
			z[i] = rng.NormFloat64()
		}
		mat.NewVecDense(dim, x).MulVec(&lower, mat.NewVecDense(dim, z))
		for i, m := range means[rng.IntN(k)] {
			x[i] += m
		}
	}
	d.LogDensity = func(x []float64) float64 {
		each := make([]float64, k)
		diff, y := make([]float64, dim), mat.NewVecDense(dim, nil)
		top := math.Inf(-1)
		for c, m := range means {
			for i := range dim {
				diff[i] = x[i] - m[i]
			}
			y.MulVec(white.T(), mat.NewVecDense(dim, diff))
			each[c] = -0.5 * mat.Dot(y, y)
			top = max(top, each[c])
		}
		var sum float64
		for _, e := range each {
			sum += math.Exp(e - top)
		}
		return top + math.Log(sum/float64(k)) - logNorm
	}
	var precision mat.SymDense
	if err := chol.InverseTo(&precision); err != nil {
		panic(fmt.Sprintf("sampling: inverting a covariance: %v", err))
	}
	d.Target = mixtureTarget(means, &precision, chol.LogDet())
	return d
}

// mixtureTarget is the graph of a Gaussian mixture with equal weights and a shared
// covariance.
func mixtureTarget(means [][]float64, precision mat.Matrix, logDet float64) sampler.Target {
	k := len(means)
	precisions := make([][][]float64, k)
	logDets := make([]float64, k)
	for i := range k {
		precisions[i], logDets[i] = rows(precision), -logDet
	}
	return sampler.LogDensity(func(x *Node) *Node {
		constant := func(v any) *Node { return InsertAxes(ConstAsDType(x.Graph(), x.DType(), v), 0) }
		return sampler.Mixture(constant(means), constant(precisions), constant(logDets), nil)(x)
	})
}

// rows copies a matrix into a slice of rows.
func rows(m mat.Matrix) [][]float64 {
	r, c := m.Dims()
	all := make([][]float64, r)
	for i := range all {
		all[i] = make([]float64, c)
		for j := range c {
			all[i][j] = m.At(i, j)
		}
	}
	return all
}

// ring is p(x) ∝ exp(−(‖x‖ − R)²/(2w²)) in the plane.
func ring(radius, width float64) Density {
	const tiny = 1e-12 // keeps the derivative of the square root finite at the origin
	weight := func(r float64) float64 { return r * math.Exp(-0.5*square((r-radius)/width)) }
	top := radius + 12*width
	norm := simpson(0, top, weight)
	off := simpson(0, top, func(r float64) float64 { return weight(r) * square((r-radius)/width) }) / norm
	second := simpson(0, top, func(r float64) float64 { return weight(r) * r * r }) / norm
	logZ := math.Log(2 * math.Pi * norm)
	return Density{
		Dim:     2,
		Entropy: logZ + 0.5*off,
		Mean:    []float64{0, 0},
		Cov:     isotropic(2, second/2),
		Target: sampler.LogDensity(func(x *Node) *Node {
			r := Sqrt(AddScalar(ReduceSum(Square(x), -1), tiny)) // [B, M]
			return MulScalar(Square(AddScalar(r, -radius)), -0.5/(width*width))
		}),
		LogDensity: func(x []float64) float64 {
			r := math.Hypot(x[0], x[1])
			return -0.5*square((r-radius)/width) - logZ
		},
		Draw: func(rng *rand.Rand, x []float64) {
			for { // r by rejection from N(R, w²), which lacks the factor r
				r := radius + width*rng.NormFloat64()
				if r > 0 && rng.Float64()*top < r {
					sin, cos := math.Sincos(2 * math.Pi * rng.Float64())
					x[0], x[1] = r*cos, r*sin
					return
				}
			}
		},
	}
}

// box is Π ½ sech²(u_d): the target, before the tanh, of a squashed policy when all
// actions have the same value. It is a logistic density of scale ½ with entropy 2 − ln 2
// and variance π²/12 per dimension.
func box(dim int) Density {
	return Density{
		Dim:     dim,
		Entropy: float64(dim) * (2 - math.Ln2),
		Mean:    make([]float64, dim),
		Cov:     isotropic(dim, math.Pi*math.Pi/12),
		Target: sampler.LogDensity(func(u *Node) *Node {
			a := Abs(u) // log sech²(u) = 2(ln 2 − |u| − log(1 + e^{−2|u|})), which cannot overflow
			return MulScalar(ReduceSum(Add(a, Log1P(Exp(MulScalar(a, -2)))), -1), -2)
		}),
		LogDensity: func(u []float64) float64 { return LogSlope(u) - float64(dim)*math.Ln2 },
		Draw: func(rng *rand.Rand, u []float64) {
			for i := range u {
				u[i] = math.Atanh(2*rng.Float64() - 1)
			}
		},
	}
}

// LogSlope is Σ log(1 − tanh²(u_d)), the log-determinant of the tanh: log q(tanh u) = log
// q(u) − LogSlope(u).
func LogSlope(u []float64) float64 {
	var sum float64
	for _, v := range u {
		v = math.Abs(v)
		sum += 2 * (math.Ln2 - v - math.Log1p(math.Exp(-2*v)))
	}
	return sum
}

func normalEntropy(std float64) float64 { return 0.5 * math.Log(2*math.Pi*math.E*std*std) }

// pairEntropy is the entropy of ½ N(−a, s²) + ½ N(a, s²) on the line.
func pairEntropy(a, s float64) float64 {
	density := func(x float64) float64 {
		return (math.Exp(-0.5*square((x-a)/s)) + math.Exp(-0.5*square((x+a)/s))) / (2 * s * math.Sqrt(2*math.Pi))
	}
	return simpson(-a-12*s, a+12*s, func(x float64) float64 {
		p := density(x)
		if p == 0 {
			return 0
		}
		return -p * math.Log(p)
	})
}

func square(x float64) float64 { return x * x }

// simpson integrates a smooth function from a to b over 20000 intervals.
func simpson(a, b float64, f func(float64) float64) float64 {
	const n = 20000
	h := (b - a) / n
	sum := f(a) + f(b)
	for i := 1; i < n; i++ {
		sum += float64(2+2*(i%2)) * f(a+float64(i)*h)
	}
	return sum * h / 3
}
