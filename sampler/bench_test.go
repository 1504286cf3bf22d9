package sampler_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stein-rl/stein/nn"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// The policy update that the peers are timed with.
const (
	benchStates, benchActions, benchObs = 100, 6, 17
	benchHidden, benchSteps             = 256, 3
	benchAlpha                          = 0.2
)

// uniform fills a float32 tensor from [−limit, limit).
func uniform(rng *rand.Rand, limit float64, dims ...int) *tensors.Tensor {
	size := 1
	for _, d := range dims {
		size *= d
	}
	flat := make([]float32, size)
	for i := range flat {
		flat[i] = float32(limit * (2*rng.Float64() - 1))
	}
	return tensors.FromFlatDataAndDimensions(flat, dims...)
}

// twinCritics are the weights of two networks, by fan-in as PyTorch draws them.
func twinCritics(rng *rand.Rand) (weights []any) {
	for range 2 {
		first, second := 1/math.Sqrt(benchObs+benchActions), 1/math.Sqrt(benchHidden)
		weights = append(weights,
			uniform(rng, first, benchObs, benchHidden), uniform(rng, first, benchActions, benchHidden),
			uniform(rng, first, benchHidden), uniform(rng, second, benchHidden, benchHidden),
			uniform(rng, second, benchHidden), uniform(rng, second, benchHidden, 1), uniform(rng, second, 1))
	}
	return weights
}

// critic is the value of x [B, M, A] at obs [B, S]; the states' part of the first
// layer is shared by the particles.
func critic(w []*Node, obs *Node) func(x *Node) *Node {
	ofObs := Add(Dot(obs, w[0]).Product(), InsertAxes(w[2], 0)) // [B, H]
	return func(x *Node) *Node {
		b, m := x.Shape().Dim(0), x.Shape().Dim(1)
		flat := Reshape(x, b*m, x.Shape().Dim(2))
		h := Reshape(Dot(flat, w[1]).Product(), b, m, benchHidden)
		h = Reshape(nn.ELU(Add(h, InsertAxes(ofObs, 1))), b*m, benchHidden)
		h = nn.ELU(Add(Dot(h, w[3]).Product(), InsertAxes(w[4], 0)))
		return Reshape(AddScalar(Dot(h, Squeeze(w[5], -1)).Product(), 0), b, m)
	}
}

// policyUpdate is the loss mean(log q − log p̄) and its gradients by θ1..θ3.
func policyUpdate(smp func(sigma, epsilon sampler.Scale) sampler.Sampler, m int) func(in []*Node) []*Node {
	return func(in []*Node) []*Node {
		state, obs, mean, logStd, logSigma, logEpsilon := in[0], in[1], in[2], in[3], in[4], in[5]
		q1, q2 := critic(in[6:13], obs), critic(in[13:20], obs)
		target := sampler.LogDensity(func(x *Node) *Node {
			return MulScalar(Min(q1(x), q2(x)), 1/benchAlpha)
		})
		at := sampler.At{Noise: sampler.KeyNoise{Key: random.NewKey(state)}}
		scale := func(logs *Node) sampler.Scale { return sampler.Given{Reshape(Exp(logs), 1, 1, 1)} }
		q0 := sampler.DiagonalGaussian{Mean: mean, Std: Exp(logStd)}
		r := sampler.Start(at, q0, smp(scale(logSigma), scale(logEpsilon)), target, m, sampler.Steps{Max: benchSteps})
		loss := ReduceAllMean(Sub(r.LogQ, r.LogP))
		return append([]*Node{loss}, Gradient(loss, mean, logStd, logSigma, logEpsilon)...)
	}
}

func met(sigma, epsilon sampler.Scale) sampler.Sampler {
	return sampler.SVGD{
		Kernel: sampler.RBF{}, Bandwidth: sigma, StepSize: epsilon, Bound: sampler.Bound{Kind: sampler.Spectral},
		Trace: sampler.Divergence{HessianTrace: true, SelfTerm: true},
	}
}

func benchPolicyUpdate(b *testing.B, backend compute.Backend, m int) {
	rng := rand.New(rand.NewPCG(1, 2))
	exec := MustNewExec(backend, policyUpdate(met, m))
	state, err := RNGStateFromSeed(1)
	if err != nil {
		b.Fatal(err)
	}
	logStd := tensors.FromScalarAndDimensions(float32(-1), benchStates, benchActions)
	args := append([]any{
		state, uniform(rng, 1.7, benchStates, benchObs), uniform(rng, 1e-9, benchStates, benchActions), logStd,
		tensors.FromScalar(float32(0)), tensors.FromScalar(float32(math.Log(0.1))),
	}, twinCritics(rng)...)
	run := func() {
		for _, out := range exec.MustCall(args...) {
			out.MustFinalizeAll()
		}
	}
	run()
	for b.Loop() {
		run()
	}
}

// BenchmarkPolicyUpdate is the forward and backward pass of a MET-SVGD policy update:
// B = 100 states, D = 6, twin critics 2×256, L = 3, trace term, spectral bound.
func BenchmarkPolicyUpdate(b *testing.B) {
	for _, m := range []int{10, 64} {
		b.Run(fmt.Sprintf("M=%d", m), func(b *testing.B) { benchPolicyUpdate(b, enginetest.Backend(b), m) })
	}
}

// An imageStep takes particles [1, M, D] and log q to the next.
type imageStep struct {
	name string
	f    func(x, logQ *Node, l int) (*Node, *Node)
}

// imageSteps are steps with a given score, and the two products [M, D]·[D, M] and
// [M, M]·[M, D] that no step can do without.
func imageSteps() []imageStep {
	step := func(v sampler.SVGD) func(x, logQ *Node, l int) (*Node, *Node) {
		return func(x, logQ *Node, l int) (*Node, *Node) {
			at := sampler.At{Step: l, Noise: sampler.KeyNoise{Key: random.NewKey(RNGStateFromSeedForGraph(x.Graph(), 1))}}
			s := sampler.State{X: x, LogQ: logQ, LogP: logQ, Score: MulScalar(x, -0.5)}
			if v.Trace.HessianTrace { // ones for a probe: drawing numbers isn't what is timed
				s.Probes, s.HessV = []*Node{OnesLike(x)}, []*Node{MulScalar(OnesLike(x), -0.5)}
			}
			next, _ := v.Step(at, nil, s)
			if next.LogQ == nil {
				return next.X, logQ
			}
			return next.X, next.LogQ
		}
	}
	none := sampler.SVGD{Kernel: sampler.RBF{}, Bandwidth: sampler.Fixed(30), StepSize: sampler.Fixed(0.1), Density: sampler.NoDensity}
	plain := none
	plain.Density = sampler.FirstOrder
	trace := plain
	trace.Trace.HessianTrace = true
	bounded := trace
	bounded.Bound.Kind = sampler.Spectral
	return []imageStep{
		{"two-products", func(x, logQ *Node, _ int) (*Node, *Node) {
			k := Einsum("bid,bjd->bij", x, x)
			return MulScalar(Einsum("bij,bjd->bid", k, x), 1e-4), logQ
		}},
		{"no-density", step(none)},
		{"p-svgd", step(plain)},
		{"trace", step(trace)},
		{"trace-bound", step(bounded)},
	}
}

// BenchmarkImageStep is one step at D = 3072, M = 64, beside the products of
// imageSteps. Each is chained so that a call's own cost doesn't count.
func BenchmarkImageStep(b *testing.B) {
	const m, d, chain = 64, 3072, 20
	for _, c := range imageSteps() {
		b.Run(c.name, func(b *testing.B) {
			exec := MustNewExec(enginetest.Backend(b), func(state *Node) (*Node, *Node) {
				_, x := RandomNormal(state, shapes.Make(dtypes.Float32, 1, m, d))
				x = MulScalar(x, 0.1)
				logQ := ReduceSum(x, -1)
				for l := range chain {
					x, logQ = c.f(x, logQ, l)
				}
				return ReduceAllSum(x), ReduceAllSum(logQ)
			})
			state, err := RNGStateFromSeed(1)
			if err != nil {
				b.Fatal(err)
			}
			exec.MustCall(state)
			for b.Loop() {
				exec.MustCall(state)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*chain), "µs/step")
		})
	}
}
