package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// Images of 32×32×3, and a chain of steps long enough that the overhead of a call is
// negligible.
const (
	imageDims      = 3072
	imageParticles = 64
	imageChain     = 20
)

// particles are a state of random numbers and [1, M, D] particles of standard
// deviation 0.1.
func particles(m, d int) ([]any, error) {
	state, err := RNGStateFromSeed(1)
	return []any{state, uniform(rand.New(rand.NewPCG(1, 2)), 0.1*math.Sqrt(3), 1, m, d)}, err
}

// step times one call with a step of MET-SVGD on a normal target, whose score is cheap,
// with σ = √D and ε = 0.1.
func step(b compute.Backend, o options) (result, error) {
	args, err := particles(o.particles, o.dims)
	if err != nil {
		return nil, err
	}
	ms, median, err := timed(b, o, func(in []*Node) []*Node {
		v := wide(o.dims)
		at := sampler.At{Noise: sampler.KeyNoise{Key: random.NewKey(in[0])}}
		x, logQ := move(at, v, v.Probes(at, in[1]), in[1], ReduceSum(in[1], -1))
		return []*Node{Add(ReduceAllSum(x), ReduceAllSum(logQ))}
	}, args...)
	return result{"particles": o.particles, "dims": o.dims, "ms": ms, "median_ms": median}, err
}

// move is a step of v towards a normal of standard deviation √2, whose score and
// products with its Hessian are given.
func move(at sampler.At, v sampler.SVGD, probes []*Node, x, logQ *Node) (*Node, *Node) {
	s := sampler.State{X: x, LogQ: logQ, LogP: logQ, Score: MulScalar(x, -0.5), Probes: probes}
	for _, p := range probes {
		s.HessV = append(s.HessV, MulScalar(p, -0.5))
	}
	next, _ := v.Step(at, nil, s)
	if next.LogQ == nil { // no density is carried
		return next.X, logQ
	}
	return next.X, next.LogQ
}

// image times steps at D = 3072, M = 64 with given score, probes and Hessian products,
// and the two matrix products that every step needs, K = X Xᵀ and K S, in milliseconds
// each. Each is a chain, so that none is optimised away. probe_ms is the cost of drawing
// a step's probes.
func image(b compute.Backend, o options) (result, error) {
	bounded := wide(imageDims)
	probed := bounded
	probed.Bound.Probe = true
	trace := bounded
	trace.Bound = sampler.Bound{}
	plain := trace
	plain.Trace.HessianTrace = false
	bare := plain
	bare.Density = sampler.NoDensity
	of := func(v sampler.SVGD) link {
		return func(at sampler.At, probe, x, logQ *Node) (*Node, *Node) {
			var probes []*Node
			if v.Trace.HessianTrace {
				probes = []*Node{probe}
			}
			return move(at, v, probes, x, logQ)
		}
	}
	r := result{"particles": imageParticles, "dims": imageDims}
	for name, f := range map[string]link{
		"products_ms": func(_ sampler.At, _, x, logQ *Node) (*Node, *Node) {
			k := Einsum("bid,bjd->bij", x, x)
			return MulScalar(Einsum("bij,bjd->bid", k, x), 1e-4), logQ
		},
		"probe_ms": func(at sampler.At, _, x, logQ *Node) (*Node, *Node) {
			return Add(x, bounded.Probes(at, x)[0]), logQ
		},
		"svgd_ms": of(bare), "p_svgd_ms": of(plain), "trace_ms": of(trace), "bound_ms": of(bounded),
		"probe_bound_ms": of(probed),
	} {
		median, err := chain(b, o, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r[name] = median
	}
	return r, nil
}

// wide is MET-SVGD for D dimensions, where distances grow like √D.
func wide(d int) sampler.SVGD {
	return metSVGD(sampler.Fixed(math.Sqrt(float64(d))), sampler.Fixed(0.1))
}

// A link is one step of a chain, with a probe it may use.
type link func(at sampler.At, probe, x, logQ *Node) (*Node, *Node)

// chain times imageChain applications of f and returns the time of one.
func chain(b compute.Backend, o options, f link) (float64, error) {
	args, err := particles(imageParticles, imageDims)
	if err != nil {
		return 0, err
	}
	_, median, err := timed(b, o, func(in []*Node) []*Node {
		x, logQ := in[1], ReduceSum(in[1], -1)
		for l := range imageChain {
			at := sampler.At{Step: l, Noise: sampler.KeyNoise{Key: random.NewKey(in[0])}}
			x, logQ = f(at, Sign(in[1]), x, logQ)
		}
		return []*Node{Add(ReduceAllSum(x), ReduceAllSum(logQ))}
	}, args...)
	return median / imageChain, err
}
