package sampler_test

import (
	"math"
	"testing"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// learnedRun is a run whose parameters are a vector: mean and log-std of q⁰ [D] each,
// log σ, log ε. It answers the mean over systems and particles of log q − log p̄.
type learnedRun struct {
	b, m, d int
	steps   sampler.Steps
	smp     func(sigma, epsilon sampler.Scale) sampler.SVGD
	target  sampler.Target
	// spread adds system number × spread to every coordinate of q⁰'s mean.
	spread float64
}

func (r learnedRun) loss(theta, state *Node) (loss, taken *Node) {
	d := r.d
	part := func(from, to int) *Node { return Slice(theta, AxisRange(from, to)) }
	system := MulScalar(Iota(theta.Graph(), shapes.Make(theta.DType(), r.b, 1), 0), r.spread)
	mean := Add(BroadcastToDims(Reshape(part(0, d), 1, d), r.b, d), system)
	std := BroadcastToDims(Exp(Reshape(part(d, 2*d), 1, d)), r.b, d)
	scale := func(at int) sampler.Scale { return sampler.Given{Reshape(Exp(part(at, at+1)), 1, 1, 1)} }
	at := sampler.At{Noise: sampler.KeyNoise{Key: random.NewKey(state)}}
	q0 := sampler.DiagonalGaussian{Mean: mean, Std: std}
	res := sampler.Start(at, q0, r.smp(scale(2*d), scale(2*d+1)), r.target, r.m, r.steps)
	return ReduceAllMean(Sub(res.LogQ, res.LogP)), res.Taken
}

// Ensure that the reparameterised gradients by θ1, θ2 and θ3 are those of central
// differences, through masks, accept tests, determinants and inverse steps.
func TestGradientsAgainstDifferences(t *testing.T) {
	base := func(sigma, epsilon sampler.Scale) sampler.SVGD {
		return sampler.SVGD{Kernel: sampler.RBF{}, Bandwidth: sigma, StepSize: epsilon, Trace: sampler.Divergence{HessianTrace: true}}
	}
	with := func(change func(v *sampler.SVGD)) func(sigma, epsilon sampler.Scale) sampler.SVGD {
		return func(sigma, epsilon sampler.Scale) sampler.SVGD {
			v := base(sigma, epsilon)
			change(&v)
			return v
		}
	}
	three := sampler.Steps{Max: 3}
	for name, r := range map[string]learnedRun{
		"trace":           {b: 2, m: 4, d: 2, steps: three, smp: base},
		"exact trace":     {b: 1, m: 4, d: 2, steps: three, smp: with(func(v *sampler.SVGD) { v.Trace.Exact = true })},
		"two probes, imq": {b: 1, m: 4, d: 2, steps: three, smp: with(func(v *sampler.SVGD) { v.Trace.Probes, v.Trace.Normal, v.Kernel = 2, true, sampler.IMQ{} })},
		"leave one out":   {b: 1, m: 4, d: 2, steps: three, smp: with(func(v *sampler.SVGD) { v.Trace.HessianTrace = false })},
		"determinant":     {b: 2, m: 3, d: 3, steps: three, smp: with(func(v *sampler.SVGD) { v.Density = sampler.ExactLogDet })},
		"accept test":     {b: 2, m: 4, d: 2, steps: three, smp: with(func(v *sampler.SVGD) { v.Control = sampler.MetropolisHastings{} })},
		"inverse steps": {b: 1, m: 4, d: 2, steps: sampler.Steps{Max: 2}, smp: with(func(v *sampler.SVGD) {
			v.Control = sampler.MetropolisHastings{Rademacher: true, Iterations: 4}
		})},
		"truncation": {b: 2, m: 6, d: 2, steps: three, spread: 1, smp: with(func(v *sampler.SVGD) { v.Control = sampler.Truncation{Width: 1.2} })},
		// The first system is near the target and stops at once or soon, the last goes on.
		"stopping":        {b: 3, m: 4, d: 2, steps: sampler.Steps{Max: 4, StopBelow: 1.5}, spread: 3, smp: base},
		"many dimensions": {b: 1, m: 3, d: 49, steps: sampler.Steps{Max: 2}, smp: base},
	} {
		t.Run(name, func(t *testing.T) {
			r.target = sampler.LogDensity(tilted)
			checkGradient(t, r)
		})
	}
}

func checkGradient(t *testing.T, r learnedRun) {
	t.Helper()
	theta := make([]float64, 2*r.d+2)
	for i := range r.d {
		theta[i], theta[r.d+i] = 0.3-0.1*float64(i%3), -0.3
	}
	theta[2*r.d], theta[2*r.d+1] = math.Log(0.7*math.Sqrt(float64(r.d))), math.Log(0.15)
	state, err := RNGStateFromSeed(3)
	if err != nil {
		t.Fatal(err)
	}
	backend := enginetest.PureGo(t) // compiles nothing, and the sizes are small
	exec := MustNewExec(backend, func(theta, state *Node) (*Node, *Node, *Node) {
		loss, taken := r.loss(theta, state)
		return loss, Gradient(loss, theta)[0], taken
	})
	out := exec.MustCall(tensors.FromFlatDataAndDimensions(theta, len(theta)), state)
	grad := flatten(out[1])
	if r.steps.StopBelow > 0 {
		if taken := flatten(out[2]); taken[0] == taken[len(taken)-1] {
			t.Fatalf("all systems took %v steps: nothing is masked", taken)
		}
	}
	value := MustNewExec(backend, func(theta, state *Node) *Node {
		loss, _ := r.loss(theta, state)
		return loss
	})
	at := func(i int, h float64) float64 {
		moved := append([]float64(nil), theta...)
		moved[i] += h
		return flatten(value.MustCall(tensors.FromFlatDataAndDimensions(moved, len(moved)), state)[0])[0]
	}
	// Of many dimensions a few are enough.
	indices := []int{0, 1, r.d, 2*r.d - 1, 2 * r.d, 2*r.d + 1}
	for _, i := range indices {
		const h = 1e-5
		want := (at(i, h) - at(i, -h)) / (2 * h)
		if d := math.Abs(grad[i] - want); d > 1e-6*math.Max(1, math.Abs(want)) || math.IsNaN(d) {
			t.Errorf("by parameter %d of %d: %.9g, by differences %.9g", i, len(theta), grad[i], want)
		}
	}
	if grad[2*r.d] == 0 || grad[2*r.d+1] == 0 {
		t.Errorf("gradient by σ %g and by ε %g: neither may be zero", grad[2*r.d], grad[2*r.d+1])
	}
}

// Ensure that a detached score is held with its derivative: after one step the gradients
// by σ and ε, which neither depends on, are the whole ones; that by the start is not,
// nor are those of a second step.
func TestDetachedScore(t *testing.T) {
	gradient := func(steps int, detach bool) []float64 {
		r := learnedRun{b: 2, m: 4, d: 2, steps: sampler.Steps{Max: steps}, target: sampler.LogDensity(tilted)}
		r.smp = func(sigma, epsilon sampler.Scale) sampler.SVGD {
			return sampler.SVGD{Kernel: sampler.RBF{}, Bandwidth: sigma, StepSize: epsilon, Trace: sampler.Divergence{HessianTrace: true}, Detach: detach}
		}
		state, err := RNGStateFromSeed(3)
		if err != nil {
			t.Fatal(err)
		}
		exec := MustNewExec(enginetest.PureGo(t), func(theta, state *Node) *Node {
			loss, _ := r.loss(theta, state)
			return Gradient(loss, theta)[0]
		})
		theta := []float64{0.3, 0.2, -0.3, -0.3, math.Log(0.9), math.Log(0.15)}
		return flatten(exec.MustCall(tensors.FromFlatDataAndDimensions(theta, len(theta)), state)[0])
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	const mean, sigma, epsilon = 0, 4, 5
	whole, held := gradient(1, false), gradient(1, true)
	if !near(whole[sigma], held[sigma]) || !near(whole[epsilon], held[epsilon]) || near(whole[mean], held[mean]) {
		t.Errorf("one step: gradient %v, detached %v: want those by σ and ε equal, that by the mean not", whole, held)
	}
	whole, held = gradient(2, false), gradient(2, true)
	if near(whole[sigma], held[sigma]) || near(whole[epsilon], held[epsilon]) {
		t.Errorf("two steps: gradient %v, detached %v: want others by σ and ε", whole, held)
	}
}
