package sampler_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// double is log p̄ of an equal mixture of two normals at ±1 in every coordinate.
func double(x *Node) *Node {
	left := MulScalar(ReduceSum(Square(AddScalar(x, 1)), -1), -0.5)
	right := MulScalar(ReduceSum(Square(AddScalar(x, -1)), -1), -0.5)
	return Add(Max(left, right), Log1P(Exp(Neg(Abs(Sub(left, right))))))
}

// metExact is a MET-SVGD of fixed σ and ε with the exact Hessian trace.
func metExact() sampler.SVGD {
	return sampler.SVGD{
		Kernel: sampler.RBF{}, Bandwidth: sampler.Fixed(0.8), StepSize: sampler.Fixed(0.2),
		Trace: sampler.Divergence{HessianTrace: true, Exact: true}, Bound: sampler.Bound{Kind: sampler.Frobenius},
	}
}

// move runs a sampler from x [B, M, D] and answers particles and log q, q⁰ standard normal.
func move(t testing.TB, smp sampler.Sampler, target sampler.Target, steps sampler.Steps, dims []int, flat []float64) (x, logQ []float64, taken []float64) {
	t.Helper()
	exec := MustNewExec(backendOf(t), func(x, state *Node) []*Node {
		at := sampler.At{Noise: sampler.KeyNoise{Key: random.NewKey(state)}}
		zero := ZerosLike(ReduceAndKeep(x, ReduceSum, 1))
		logQ := sampler.Gaussian(zero, OnesLike(zero))(x)
		r := sampler.Run(at, smp, target, x, logQ, steps)
		if r.LogQ == nil {
			r.LogQ = ZerosLike(r.LogP)
		}
		return []*Node{r.X, r.LogQ, r.Taken}
	})
	state, err := RNGStateFromSeed(5)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Call(tensors.FromFlatDataAndDimensions(flat, dims...), state)
	if err != nil {
		t.Fatal(err)
	}
	return flatten(out[0]), flatten(out[1]), flatten(out[2])
}

// backendOf compiles nothing: most tests are small.
func backendOf(t testing.TB) compute.Backend { return enginetest.PureGo(t) }

func normals(seed uint64, n int) []float64 {
	rng := rand.New(rand.NewPCG(seed, 0))
	out := make([]float64, n)
	for i := range out {
		out[i] = rng.NormFloat64()
	}
	return out
}

func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tolerance*(1+math.Abs(want[i]))) {
			t.Fatalf("%s: number %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

// Ensure that the order of the particles, and who else is in the batch, change nothing.
func TestPermutationAndBatch(t *testing.T) {
	const m, d = 5, 3
	a, b := normals(1, m*d), normals(2, m*d)
	alone, alonQ, _ := move(t, metExact(), sampler.LogDensity(double), sampler.Steps{Max: 3}, []int{1, m, d}, a)
	both, bothQ, _ := move(t, metExact(), sampler.LogDensity(double), sampler.Steps{Max: 3}, []int{2, m, d}, append(append([]float64{}, b...), a...))
	near(t, "particles in company", both[m*d:], alone, 1e-12)
	near(t, "log q in company", bothQ[m:], alonQ, 1e-12)

	var turned []float64
	for i := range m {
		turned = append(turned, a[(m-1-i)*d:(m-i)*d]...)
	}
	back, backQ, _ := move(t, metExact(), sampler.LogDensity(double), sampler.Steps{Max: 3}, []int{1, m, d}, turned)
	for i := range m {
		near(t, "permuted particle", back[(m-1-i)*d:(m-i)*d], alone[i*d:(i+1)*d], 1e-11)
		near(t, "permuted log q", backQ[m-1-i:m-i], alonQ[i:i+1], 1e-11)
	}
}

// Ensure that moving target and particles together moves the answer by as much.
func TestTranslation(t *testing.T) {
	const m, d, far = 6, 2, 1e4
	x := normals(3, m*d)
	moved := make([]float64, len(x))
	for i := range x {
		moved[i] = x[i] + far
	}
	here, _, _ := move(t, metExact(), sampler.LogDensity(double), sampler.Steps{Max: 2}, []int{1, m, d}, x)
	there, _, _ := move(t, metExact(), sampler.LogDensity(func(x *Node) *Node { return double(AddScalar(x, -far)) }), sampler.Steps{Max: 2}, []int{1, m, d}, moved)
	for i := range there {
		there[i] -= far
	}
	near(t, "translated", there, here, 1e-9)
}

// Ensure that one step's log-determinant is that of the map that moves one particle
// with the others held: to first order T, and exactly, against central differences.
func TestDivergenceAgainstDifferences(t *testing.T) {
	const m, d, h = 4, 3, 1e-5
	x := normals(4, m*d)
	first := metExact()
	first.Bound = sampler.Bound{}
	for name, smp := range map[string]sampler.SVGD{"rbf": first, "imq": {Kernel: sampler.IMQ{}, Bandwidth: first.Bandwidth, StepSize: first.StepSize, Trace: first.Trace}} {
		full := smp
		full.Density = sampler.ExactLogDet
		_, firstQ, _ := move(t, smp, sampler.LogDensity(double), sampler.Steps{Max: 1}, []int{1, m, d}, x)
		_, exactQ, _ := move(t, full, sampler.LogDensity(double), sampler.Steps{Max: 1}, []int{1, m, d}, x)
		// All differences as one batch: system 2k+s moves coordinate k of particle 0.
		var batch []float64
		for k := range d {
			for _, sign := range []float64{1, -1} {
				y := append([]float64{}, x...)
				y[k] += sign * h
				batch = append(batch, y...)
			}
		}
		to, _, _ := move(t, smp, sampler.LogDensity(double), sampler.Steps{Max: 1}, []int{2 * d, m, d}, batch)
		var j [d][d]float64
		trace := 0.0
		for k := range d {
			for r := range d {
				j[r][k] = (to[2*k*m*d+r] - to[(2*k+1)*m*d+r]) / (2 * h)
			}
			trace += j[k][k] - 1
		}
		det := j[0][0]*(j[1][1]*j[2][2]-j[1][2]*j[2][1]) - j[0][1]*(j[1][0]*j[2][2]-j[1][2]*j[2][0]) + j[0][2]*(j[1][0]*j[2][1]-j[1][1]*j[2][0])
		start := 0.0
		for _, v := range x[:d] {
			start -= 0.5*v*v + 0.5*math.Log(2*math.Pi)
		}
		near(t, name+" first order", []float64{start - firstQ[0]}, []float64{trace}, 1e-7)
		near(t, name+" exact", []float64{start - exactQ[0]}, []float64{math.Log(math.Abs(det))}, 1e-7)
	}
}

// Ensure that the Gram form of Tr JᵀJ, for many dimensions, is the D×D form: the same
// particles in 48 dimensions, and in 49 with one that is zero everywhere.
func TestGramJacobian(t *testing.T) {
	const m, d = 5, 48
	get := func(dims int) []float64 {
		flat := make([]float64, m*dims)
		for i, v := range normals(6, m*d) {
			flat[i/d*dims+i%d] = v
		}
		exec := MustNewExec(backendOf(t), func(x, state *Node) *Node {
			smp := metExact()
			smp.Bandwidth = sampler.Fixed(6)
			smp.Trace = sampler.Divergence{HessianTrace: true}
			smp.Bound.Kind = sampler.Spectral
			at := sampler.At{Noise: onesNoise{sampler.KeyNoise{Key: random.NewKey(state)}}}
			target := sampler.LogDensity(func(x *Node) *Node { return MulScalar(ReduceSum(Square(x), -1), -0.5) })
			return sampler.Run(at, smp, target, x, ZerosLike(ReduceSum(x, -1)), sampler.Steps{Max: 1}).Infos[0].JacobianSq
		})
		state, _ := RNGStateFromSeed(1)
		return flatten(exec.MustCall(tensors.FromFlatDataAndDimensions(flat, 1, m, dims), state)[0])
	}
	small, large := get(d), get(d+1)
	// The added dimension adds its own diagonal entry, a² + 2ah/n + h²/n² with Hv = −v:
	// the same for both forms, so compare with a third that has two of them.
	two := get(d + 2)
	for i := range small {
		if extra, again := large[i]-small[i], two[i]-large[i]; math.Abs(extra-again) > 1e-9*math.Abs(small[i]) || extra < 0 {
			t.Errorf("particle %d: Tr JᵀJ %g, %g, %g in 48, 49, 50 dimensions", i, small[i], large[i], two[i])
		}
	}
}

// onesNoise has probes of ones.
type onesNoise struct{ sampler.KeyNoise }

func (n onesNoise) Sign(use sampler.Use, step int, shape shapes.Shape) *Node {
	return OnesLike(n.KeyNoise.Sign(use, step, shape))
}

// Ensure that edges answer numbers: one particle, all in one place, bandwidths at their
// limits.
func TestEdges(t *testing.T) {
	wide, narrow := metExact(), metExact()
	wide.Bandwidth, narrow.Bandwidth = sampler.Fixed(1e6), sampler.Fixed(1e-3)
	for name, c := range map[string]struct {
		smp  sampler.SVGD
		dims []int
		x    []float64
	}{
		"one particle": {metExact(), []int{1, 1, 2}, []float64{0.3, -0.2}},
		"coincident":   {metExact(), []int{1, 4, 2}, []float64{1, 2, 1, 2, 1, 2, 1, 2}},
		"wide kernel":  {wide, []int{1, 4, 2}, normals(7, 8)},
		"narrow":       {narrow, []int{1, 4, 2}, normals(7, 8)},
	} {
		x, logQ, _ := move(t, c.smp, sampler.LogDensity(double), sampler.Steps{Max: 3}, c.dims, c.x)
		for _, v := range append(x, logQ...) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s: %v %v", name, x, logQ)
				break
			}
		}
	}
	// One particle of a wide or narrow kernel climbs its gradient: φ = s.
	x, _, _ := move(t, sampler.SVGD{Kernel: sampler.RBF{}, Bandwidth: sampler.Fixed(1), StepSize: sampler.Fixed(0.1), Trace: sampler.Divergence{HessianTrace: true}},
		sampler.LogDensity(func(x *Node) *Node { return MulScalar(ReduceSum(Square(x), -1), -0.5) }), sampler.Steps{Max: 1}, []int{1, 1, 2}, []float64{1, -2})
	near(t, "one particle", x, []float64{0.9, -1.8}, 1e-12)
}

// Ensure that a move to where p̄ is no number, or zero, is refused.
func TestUnsoundProposal(t *testing.T) {
	wall := sampler.LogDensity(func(x *Node) *Node {
		inside := LessThan(Abs(Squeeze(x, -1)), MulScalar(OnesLike(Squeeze(x, -1)), 1))
		return Where(inside, MulScalar(Squeeze(x, -1), 5), MulScalar(OnesLike(Squeeze(x, -1)), math.Inf(-1)))
	})
	smp := metExact()
	smp.Bound = sampler.Bound{}
	smp.Control = sampler.MetropolisHastings{}
	x, logQ, _ := move(t, smp, wall, sampler.Steps{Max: 5}, []int{1, 3, 1}, []float64{0.9, -0.5, 0})
	for i, v := range append(x, logQ...) {
		if math.IsNaN(v) || i < 3 && math.Abs(v) >= 1 {
			t.Fatalf("particles %v, log q %v", x, logQ)
		}
	}
}

// Ensure that systems stop on their own, keep what they have, and count their steps.
func TestAdaptiveSteps(t *testing.T) {
	const m = 4
	still := make([]float64, m) // all at the mode of a standard normal: φ·s + T is not 0, so use a threshold between
	spread := []float64{30, 31, 32, 33}
	smp := metExact()
	normal := sampler.LogDensity(func(x *Node) *Node { return MulScalar(ReduceSum(Square(x), -1), -0.5) })
	_, _, taken := move(t, smp, normal, sampler.Steps{Max: 6, StopBelow: 2}, []int{2, m, 1}, append(still, spread...))
	if taken[0] != 0 || taken[1] != 6 {
		t.Errorf("steps taken %v, want 0 by the system at rest and 6 by the far one", taken)
	}
	x, _, _ := move(t, smp, normal, sampler.Steps{Max: 6, StopBelow: 2}, []int{2, m, 1}, append(still, spread...))
	near(t, "the system at rest", x[:m], still, 0)
}
