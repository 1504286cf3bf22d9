package main

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/replay"
)

// The parts of an update that are measured by themselves.
type parts struct {
	products               *floor
	empty, critics, policy *timed  // manySteps of the optimiser; empty: none
	calls                  float64 // of the engine for an update
	share                  float64 // of updates that are the policy's too
}

// newParts prepares them for the update that was compiled.
func newParts(backend compute.Backend, store *model.Store, cfg sac.Config, batch *replay.Batch, products map[product]float64, fused int) (p *parts, err error) {
	p = &parts{calls: 1 / float64(fused), share: 1 / float64(cfg.PolicyDelay)}
	if cfg.PolicyDelay > 1 && !cfg.InCycles(fused) {
		p.calls = 2 * p.share // one for the policy's update, one for those between two of them
	}
	if p.products, err = newFloor(backend, products); err != nil {
		return nil, err
	}
	critics := newSteps(backend, store, cfg, batch, "critic")
	policy := newSteps(backend, store, cfg, batch, "policy", "alpha")
	p.empty, p.critics, p.policy = critics.times(0), critics.times(manySteps), policy.times(manySteps)
	return p, nil
}

func (p *parts) timed() []*timed {
	return append([]*timed{p.empty, p.critics, p.policy, p.products.call}, p.products.shapes...)
}

// costs are those of one update, by name; rest is what no other part explains.
func (p *parts) costs(update cost) map[string]cost {
	products, none := p.products.sum(), p.empty.cost()
	critics, policy := p.critics.cost().minus(none), p.policy.cost().minus(none).times(p.share)
	optimiser := critics.plus(policy).times(1.0 / manySteps)
	copies := none.times(p.calls)
	return map[string]cost{
		"products": products, "optimiser": optimiser, "copies": copies,
		"rest": update.minus(products).minus(optimiser).minus(copies),
	}
}

// A floor is the matrix products of an update, each shape to be timed by itself.
type floor struct {
	call       *timed // of single numbers, for what a call costs by itself
	shapes     []*timed
	times      []float64 // how often an update needs each
	operations float64   // of an update
}

// newFloor compiles them.
func newFloor(backend compute.Backend, counts map[product]float64) (*floor, error) {
	call, err := compileProduct(backend, product{lhs: "1,1", rhs: "1,1", lhsSum: "1", rhsSum: "0"})
	if err != nil {
		return nil, err
	}
	f := &floor{call: call}
	for p, times := range counts {
		if times == 0 {
			continue
		}
		one, err := compileProduct(backend, p)
		if err != nil {
			return nil, err
		}
		f.shapes, f.times = append(f.shapes, one), append(f.times, times)
		f.operations += times * p.operations()
	}
	return f, nil
}

// sum is the cost of all products of an update, without that of the calls they are timed in.
func (f *floor) sum() (sum cost) {
	for i, one := range f.shapes {
		sum = sum.plus(one.cost().minus(f.call.cost()).times(f.times[i]))
	}
	return sum
}

// A call makes many products of one shape, with different numbers: at most mostProducts, fewer
// where factors would leave the cache, since what an update multiplies was mostly computed just
// before.
const (
	mostProducts  = 24
	fewProducts   = 4
	productBytes  = 1 << 20
	bytesOfNumber = 4
)

// compileProduct is one call with products of a shape.
func compileProduct(backend compute.Backend, p product) (*timed, error) {
	n := int(productBytes / (bytesOfNumber * (size(p.lhs) + size(p.rhs))))
	n = min(mostProducts, max(fewProducts, n))
	exec, err := NewExec(backend, func(in []*Node) []*Node {
		out := make([]*Node, n)
		for i := range out {
			out[i] = DotGeneral(in[2*i], ints(p.lhsSum), ints(p.lhsBatch), in[2*i+1], ints(p.rhsSum), ints(p.rhsBatch))
		}
		return out
	})
	if err != nil {
		return nil, err
	}
	var in []any
	for range n {
		for _, dims := range []string{p.lhs, p.rhs} {
			in = append(in, tensors.FromShape(shapes.Make(dtypes.Float32, ints(dims)...)))
		}
	}
	return &timed{parts: float64(n), do: func() error { return callAndDrop(exec, in...) }}, nil
}

// callAndDrop calls a graph and frees its results.
func callAndDrop(exec *Exec, in ...any) error {
	out, err := exec.Call(in...)
	for _, t := range out {
		t.FinalizeAll()
	}
	return err
}

// manySteps is how many steps of an optimiser run in one call.
const manySteps = 32

// steps is a call with an update's inputs, variables and outputs that makes only the
// optimiser's steps of some parts, each with the part's variables for gradients. With no
// step it copies in and out and calls, and does nothing else.
type steps struct {
	program *nn.Program
	batch   *replay.Batch
}

// newSteps prepares the steps of the parts in the given scopes of a learner's store.
func newSteps(backend compute.Backend, store *model.Store, cfg sac.Config, batch *replay.Batch, scopes ...string) *steps {
	program := nn.Pack(backend, store).NewProgram(func(root *model.Scope, in []*Node) []*Node {
		return loop(store, in, func(g *Graph) {
			for _, name := range scopes {
				step(root, g, cfg, name)
			}
		})
	})
	return &steps{program, batch}
}

// step is Adam's step of one part, if it has something to train.
func step(root *model.Scope, g *Graph, cfg sac.Config, name string) {
	loss := Const(g, float32(0))
	trains := false
	for v := range root.At("%s", name).IterVariables() {
		if v.Trainable {
			loss, trains = Add(loss, MulScalar(ReduceAllSum(Square(v.NodeValue(g))), 0.5)), true
		}
	}
	if trains {
		adam := nn.Adam{Epsilon: cfg.AdamEps, Beta1: cfg.AdamBeta1}
		adam.Step(root, nn.Part{Scope: name, Loss: loss, Rate: cfg.CriticLR, Clip: cfg.GradClip})
	}
}

// loop does body in[0] times on the store's variables. It answers about as much as an
// update does: the count, and the last input, a number for every row.
func loop(store *model.Store, in []*Node, body func(*Graph)) []*Node {
	state := append([]*Node{Const(in[0].Graph(), int32(0))}, in...)
	state = nn.Loop(store, state, func(now []*Node) *Node { return LessThan(now[0], now[1]) }, func(now []*Node) []*Node {
		g := now[0].Graph()
		body(g)
		return append([]*Node{Add(now[0], Const(g, int32(1)))}, now[1:]...)
	})
	return []*Node{state[0], state[len(state)-1]}
}

// times makes n steps of each part in one call.
func (s *steps) times(n int) *timed {
	b := s.batch
	table := func(x []float32) *tensors.Tensor { return tensors.FromFlatDataAndDimensions(x, b.N, len(x)/b.N) }
	return &timed{parts: 1, do: func() error {
		out, err := s.program.Call(tensors.FromScalar(int32(n)), table(b.Obs), table(b.Action), table(b.Next),
			table(b.Reward), table(b.Discount), table(b.Weight))
		if err != nil {
			return err
		}
		tensors.ToScalar[int32](out[0])
		tensors.MustCopyFlatData[float32](out[1])
		for _, t := range out {
			t.FinalizeAll()
		}
		return nil
	}}
}
