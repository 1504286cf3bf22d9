package sampler_test

import (
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/sampler"
)

// Ensure that φ and T are what they come to by hand at the limits: particles that do not
// feel each other (σ → 0, M = 1), that feel each other fully (σ → ∞), that coincide.
// Target −‖x‖²: s = −2x, Tr H = −2D.
func TestLimits(t *testing.T) {
	const d = 3
	apart, same := normals(21, 4*d), []float64{}
	for range 4 {
		same = append(same, 0.4, -1, 2)
	}
	gamma := func(sigma float64) float64 { return 1 / (2*sigma*sigma + 1e-8) }
	own := func(x []float64, m int) []float64 { // s_i/M
		phi := make([]float64, len(x))
		for i, v := range x {
			phi[i] = -2 * v / float64(m)
		}
		return phi
	}
	mean := func(x []float64, m int) []float64 {
		phi := make([]float64, len(x))
		for i := range phi {
			for j := range m {
				phi[i] -= 2 * x[j*d+i%d] / float64(m)
			}
		}
		return phi
	}
	for _, c := range []struct {
		name  string
		x     []float64
		sigma float64
		phi   func(x []float64, m int) []float64
		kinds float64 // how many other particles' 2γD are in M·T
	}{
		{"narrow", apart, 0.02, own, 0},
		{"wide", apart, 1e5, mean, 3},
		{"one", apart[:d], 0.7, own, 0},
		{"coincident", same, 0.7, mean, 3},
	} {
		m := float64(len(c.x) / d)
		for _, reference := range []bool{false, true} {
			phi, trace := first(t, c.sigma, reference, c.x, d)
			near(t, c.name+": φ", phi, c.phi(c.x, int(m)), 1e-9)
			self := c.kinds
			if reference {
				self++ // j = i counts as well
			}
			want := (2*gamma(c.sigma)*d*self - 2*d) / m
			for _, got := range trace {
				near(t, c.name+": T", []float64{got}, []float64{want}, 1e-8)
			}
		}
	}
}

// first is φ and T of the first step from x [1, M, d].
func first(t *testing.T, sigma float64, reference bool, x []float64, d int) (phi, trace []float64) {
	t.Helper()
	v := sampler.SVGD{
		Kernel: sampler.RBF{}, Bandwidth: sampler.Fixed(sigma), StepSize: sampler.Fixed(0.1),
		Trace: sampler.Divergence{HessianTrace: true, Exact: true, SelfTerm: reference},
	}
	target := sampler.LogDensity(func(x *Node) *Node { return Neg(ReduceSum(Square(x), -1)) })
	exec := MustNewExec(enginetest.PureGo(t), func(x *Node) (*Node, *Node) {
		r := sampler.Run(sampler.At{}, v, target, x, ZerosLike(ReduceSum(x, -1)), sampler.Steps{Max: 1})
		return r.Infos[0].Phi, r.Infos[0].Trace
	})
	out := exec.MustCall(tensors.FromFlatDataAndDimensions(x, 1, len(x)/d, d))
	return flatten(out[0]), flatten(out[1])
}
