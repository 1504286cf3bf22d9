package main

import (
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
)

// A product is a matrix product [M, K]·[K, N] and how often an update needs it.
type product struct {
	m, k, n int
	times   float64
}

// list lists all products of an update of soft actor-critic with a Gaussian.
func list(cfg experiments.Config) ([]product, error) {
	gaussian, ok := cfg.Policy.Value.(policies.Gaussian)
	if !ok {
		return nil, fmt.Errorf("the products of %T are unknown: want a Gaussian", cfg.Policy.Value)
	}
	a, ok := cfg.Agent.Value.(sac.Config)
	if !ok {
		return nil, fmt.Errorf("the products of %T are unknown: want soft actor-critic", cfg.Agent.Value)
	}
	b := cfg.Schedule.BatchSize
	rate := 1 / float64(a.PolicyDelay)
	obs, act := walker.ObsDim, walker.ActDim
	var all []product
	add := func(net nn.Network, rows, in, out int, times float64, forward, weights, input bool) {
		sizes := append(append([]int{in}, net.Hidden...), out)
		for i := range len(sizes) - 1 {
			p := product{rows, sizes[i], sizes[i+1], times}
			if forward {
				all = append(all, p)
			}
			if weights {
				all = append(all, product{p.k, p.m, p.n, times})
			}
			if input && i > 0 {
				all = append(all, product{p.m, p.n, p.k, times})
			}
		}
	}
	rows := 2 * b // of the critics' joint pass
	if a.Tau != nil {
		rows = b
		add(a.Critic, b, obs+act, 1, 2, true, false, false) // targets
	}
	add(gaussian.Network, b, obs, 2*act, 1, true, false, false)      // next actions
	add(a.Critic, rows, obs+act, 1, 2, true, true, true)             // critics
	add(gaussian.Network, b, obs, 2*act, rate, true, true, true)     // policy
	add(a.Critic, b, obs+act, 1, 2*rate, true, false, true)          // its value and slope
	all = append(all, product{b, a.Critic.Hidden[0], act, 2 * rate}) // the slope's last product
	return all, nil
}

// products times each of them separately, and sums the costs.
func products(backend compute.Backend, cfg experiments.Config, reps int) (sum cost, flops float64, err error) {
	all, err := list(cfg)
	if err != nil {
		return cost{}, 0, err
	}
	known := map[product]cost{}
	for _, p := range all {
		flops += 2 * float64(p.m) * float64(p.k) * float64(p.n) * p.times
		shape := product{p.m, p.k, p.n, 1}
		one, ok := known[shape]
		if !ok {
			if one, err = time1(backend, shape, reps); err != nil {
				return cost{}, 0, err
			}
			known[shape] = one
		}
		sum.wall += one.wall * p.times
		sum.cpu += one.cpu * p.times
	}
	return sum, flops, nil
}

// repeated is how many products of a shape run in one call.
const repeated = 24

// time1 is the cost of one product of a shape: it runs many in one call, with different
// numbers, and sums the results.
func time1(backend compute.Backend, p product, reps int) (cost, error) {
	var exec *Exec
	err := engine.Try(func() {
		exec = MustNewExec(backend, func(in []*Node) []*Node {
			out := make([]*Node, repeated)
			for i := range out {
				out[i] = Dot(in[2*i], in[2*i+1]).Product()
			}
			return out
		})
	})
	if err != nil {
		return cost{}, err
	}
	defer exec.Finalize()
	var in []any
	for range repeated {
		in = append(in, tensors.FromShape(shapes.Make(dtypes.Float32, p.m, p.k)), tensors.FromShape(shapes.Make(dtypes.Float32, p.k, p.n)))
	}
	var callErr error
	c := measure(reps, func() {
		out, err := exec.Call(in...)
		if err != nil {
			callErr = err
			return
		}
		for _, t := range out {
			t.FinalizeAll()
		}
	})
	return cost{c.wall / repeated, c.cpu / repeated}, callErr
}
