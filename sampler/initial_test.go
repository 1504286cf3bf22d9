package sampler_test

import (
	"math"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// draw answers particles and densities of an initial distribution built in the graph.
func draw(t *testing.T, m int, build func(g *Graph) sampler.Initial) (x, logQ []float64) {
	t.Helper()
	exec := MustNewExec(enginetest.PureGo(t), func(state *Node) []*Node {
		noise := sampler.KeyNoise{Key: random.NewKey(state)}
		x, logQ := build(state.Graph()).Draw(noise, m)
		return []*Node{x, logQ}
	})
	state, err := RNGStateFromSeed(21)
	if err != nil {
		t.Fatal(err)
	}
	out := exec.MustCall(state)
	return flatten(out[0]), flatten(out[1])
}

// Ensure that the truncated normal stays inside, has the truncated normal's variance,
// and says its density, with the constant only when asked.
func TestTruncatedNormal(t *testing.T) {
	const m, width, mean, std = 20000, 2.0, 3.0, 0.5
	for _, renormalise := range []bool{false, true} {
		x, logQ := draw(t, m, func(g *Graph) sampler.Initial {
			return sampler.DiagonalGaussian{
				Mean: Const(g, [][]float64{{mean}}), Std: Const(g, [][]float64{{std}}),
				Truncate: width, Renormalise: renormalise,
			}
		})
		inside := math.Erf(width / math.Sqrt2)
		var square float64
		for i, v := range x {
			z := (v - mean) / std
			if math.Abs(z) > width {
				t.Fatalf("draw %d is %g standard deviations out", i, z)
			}
			want := -0.5*z*z - math.Log(std*math.Sqrt(2*math.Pi))
			if renormalise {
				want -= math.Log(inside)
			}
			if math.Abs(logQ[i]-want) > 1e-12 {
				t.Fatalf("log q %g at z = %g, want %g", logQ[i], z, want)
			}
			square += z * z / m
		}
		// Var z = 1 − 2wφ(w)/P; the standard error of the mean square is below 0.007.
		variance := 1 - 2*width*math.Exp(-width*width/2)/math.Sqrt(2*math.Pi)/inside
		if math.Abs(square-variance) > 0.03 {
			t.Errorf("mean square %g, want %g", square, variance)
		}
	}
}

// Ensure that the mixture's density is the mixture's and its draws follow it: by the
// mean of log q, which is minus the entropy, against a quadrature.
func TestMixtureInitial(t *testing.T) {
	const m = 20000
	means, stds := []float64{-2, 1}, []float64{0.3, 1}
	density := func(x float64) (p float64) {
		for k := range means {
			z := (x - means[k]) / stds[k]
			p += 0.5 * math.Exp(-z*z/2) / (stds[k] * math.Sqrt(2*math.Pi))
		}
		return p
	}
	x, logQ := draw(t, m, func(g *Graph) sampler.Initial {
		return sampler.GaussianMixture{Means: Const(g, [][][]float64{{{means[0]}, {means[1]}}}), Stds: Const(g, [][][]float64{{{stds[0]}, {stds[1]}}})}
	})
	sum := 0.0
	for i := range x {
		if math.Abs(logQ[i]-math.Log(density(x[i]))) > 1e-9 {
			t.Fatalf("log q %g at %g, want %g", logQ[i], x[i], math.Log(density(x[i])))
		}
		sum += logQ[i] / m
	}
	want, h := 0.0, 1e-3
	for v := -12.0; v < 12; v += h {
		if p := density(v); p > 0 {
			want += p * math.Log(p) * h
		}
	}
	if math.Abs(sum-want) > 0.03 { // standard error 0.006
		t.Errorf("mean log q %g, want %g", sum, want)
	}
}

// Ensure that a flow's own particles and densities are taken as they are.
func TestFlowInitial(t *testing.T) {
	x, logQ := draw(t, 3, func(g *Graph) sampler.Initial {
		return sampler.Flow(func(_ sampler.Noise, m int) (x, logQ *Node) {
			x = Iota(g, shapes.Make(dtypes.Float64, 1, m, 1), 1)
			return x, Squeeze(Neg(x), -1)
		})
	})
	near(t, "x", x, []float64{0, 1, 2}, 0)
	near(t, "log q", logQ, []float64{0, -1, -2}, 0)
}

// Ensure that the schedules start, end, and stay.
func TestSchedule(t *testing.T) {
	progress := []float64{0, 0.25, 0.5, 1}
	for _, c := range []struct {
		s    sampler.Schedule
		want []float64
	}{
		{sampler.Schedule{Start: 0.1, End: 0.9}, []float64{0.1, 0.3, 0.5, 0.9}},
		{sampler.Schedule{Start: 0, End: 1, Duration: 0.5}, []float64{0, 0.5, 1, 1}},
		{sampler.Schedule{Start: 0.01, End: 1, Duration: 0.5, Exponential: true}, []float64{0.01, 0.1, 1, 1}},
	} {
		exec := MustNewExec(enginetest.PureGo(t), func(p *Node) *Node { return c.s.At(p) })
		near(t, "share", flatten(exec.MustCall(tensors.FromValue(progress))[0]), c.want, 1e-12)
	}
}
