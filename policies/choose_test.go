package policies_test

import (
	"math"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/sampler"
)

// fixed answers the same three actions for every state, the last one dead.
type fixed struct{ dead bool }

var threeActions = [][][]float32{{{-0.5}, {0.1}, {0.9}}}

func (f fixed) Sample(q policies.Query) policies.Draw {
	g, b := q.Obs.Graph(), q.Obs.Shape().Dim(0)
	d := policies.Draw{Action: BroadcastToDims(Const(g, threeActions), b, 3, 1)}
	d.LogProb = Zeros(g, ReduceSum(d.Action, -1).Shape())
	if f.dead {
		d.Alive = BroadcastToDims(Const(g, [][]bool{{true, true, false}}), b, 3)
	}
	return d
}

// Ensure that the choices draw in the shares that they promise, and never a dead
// action.
func TestChoice(t *testing.T) {
	slope := func(a *Node) *Node { return MulScalar(Squeeze(a, -1), 2) } // values −1, 0.2, 1.8
	softmax := func(scale float64, of ...float64) []float64 {
		var sum float64
		for i := range of {
			of[i] = math.Exp(of[i] * scale)
			sum += of[i]
		}
		share := make([]float64, 3)
		for i := range of {
			share[i] = of[i] / sum
		}
		return share
	}
	for _, c := range []struct {
		name string
		of   policies.Choice
		dead bool
		want []float64
	}{
		{"uniform", policies.Choice{By: "uniform"}, false, []float64{1. / 3, 1. / 3, 1. / 3}},
		{"uniform alive", policies.Choice{By: "uniform"}, true, []float64{0.5, 0.5, 0}},
		{"argmax", policies.Choice{By: "argmax"}, false, []float64{0, 0, 1}},
		{"argmax alive", policies.Choice{By: "argmax"}, true, []float64{0, 1, 0}},
		{"softmax", policies.Choice{By: "softmax", Temperature: "1"}, false, softmax(1, -1, 0.2, 1.8)},
		{"softmax alive", policies.Choice{By: "softmax", Temperature: "1"}, true, softmax(1, -1, 0.2)},
		{"softmax alpha", policies.Choice{By: "softmax", Temperature: "alpha"}, false, softmax(2, -1, 0.2, 1.8)},
	} {
		t.Run(c.name, func(t *testing.T) {
			const rows = 4000
			b := newBench(t, fixed{c.dead}, slope, 3, 1)
			b.alpha = 0.5
			out := b.exec(rows, func(_ *model.Scope, q policies.Query) []*Node {
				return []*Node{c.of.Pick(q, b.policy.Sample(q))}
			})()[0]
			share := make([]float64, 3)
			for _, a := range out {
				for i, row := range threeActions[0] {
					if a == row[0] {
						share[i] += 1. / rows
					}
				}
			}
			for i := range share { // standard error at most 0.008
				if math.Abs(share[i]-c.want[i]) > 0.04 {
					t.Errorf("shares %.3f, want %.3f", share, c.want)
					break
				}
			}
		})
	}
}

// Ensure that a Stein policy's test-time action is one of its particles, and on the
// better hill.
func TestSteinGreedy(t *testing.T) {
	uphill := func(a *Node) *Node { return Add(twoHills(a), MulScalar(ReduceSum(a, -1), 10)) }
	p := with(func(p *policies.Stein) { p.Choice = policies.Choice{By: "argmax", Temperature: "1"} })
	b := newBench(t, p, uphill, 10, 2)
	out := b.exec(8, func(_ *model.Scope, q policies.Query) []*Node {
		greedy := p.Greedy(q)
		best := q.Value(InsertAxes(greedy, 1))
		q.Key = q.Key.Fold(0)
		return []*Node{ConvertDType(best, dtypes.Float32), ReduceMax(q.Value(p.Sample(q).Action), -1)}
	})()
	for i := range out[0] {
		if math.Abs(float64(out[0][i]-out[1][i])) > 1e-4 {
			t.Errorf("state %d: value %g at the greedy action, %g at the best particle", i, out[0][i], out[1][i])
		}
	}
}

// Ensure that settings that make no sense together are named.
func TestSteinCheck(t *testing.T) {
	for _, c := range []struct {
		change            func(*policies.Stein)
		particles, actDim int
		want              string
	}{
		{func(p *policies.Stein) {}, 10, 6, ""},
		{func(p *policies.Stein) { p.Sampler.Control = "mh"; p.Initial.Truncate = 3 }, 10, 6, "truncation and Metropolis"},
		{func(p *policies.Stein) { p.Sampler.Trace.Hessian = false }, 1, 6, "leave-one-out"},
		{func(p *policies.Stein) { p.Sampler.Trace.Probe = "exact" }, 10, 376, "exact trace"},
		{func(p *policies.Stein) { p.Sampler.Density = "exact" }, 10, 376, "determinant in 376 dimensions"},
		{func(p *policies.Stein) { p.Sampler.Density = "none"; p.Sampler.StopBelow = 1 }, 10, 6, "stop_below needs a density"},
		{func(p *policies.Stein) { p.Sampler.Algorithm = "mala" }, 10, 6, "needs log-probabilities"},
		{func(p *policies.Stein) { p.Initial.StdMin = 2 }, 10, 6, "std_min 2"},
		{func(p *policies.Stein) { p.Initial.Renormalise = true }, 10, 6, "renormalise"},
		{func(p *policies.Stein) { p.Sampler.Greedy = &sampler.ScheduleConfig{End: 1} }, 10, 6, "greedy needs control mh"},
		{func(p *policies.Stein) { p.Hidden = nil }, 10, 6, "at least one layer"},
	} {
		p := with(c.change)
		err := p.Check(c.particles, c.actDim)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v with %d particles in %d dimensions: %v, want %q", p, c.particles, c.actDim, err, c.want)
		}
	}
}
