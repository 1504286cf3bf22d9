package main

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// A floor is the matrix products of an update, each shape to be timed by itself.
type floor struct {
	shapes []*timed
	times  []float64 // how often an update needs each
	flop   float64   // of an update
}

// newFloor compiles them.
func newFloor(backend compute.Backend, counts map[product]float64) (*floor, error) {
	f := &floor{}
	for p, times := range counts {
		if times == 0 {
			continue
		}
		one, err := compileProduct(backend, p)
		if err != nil {
			return nil, err
		}
		f.shapes, f.times = append(f.shapes, one), append(f.times, times)
		f.flop += times * p.operations()
	}
	return f, nil
}

// sum is the cost of all products of an update.
func (f *floor) sum() (sum cost) {
	for i, one := range f.shapes {
		sum = sum.plus(one.cost().times(f.times[i]))
	}
	return sum
}

// A call makes many products of one shape, with different numbers, so that the call itself
// doesn't count: at most mostProducts, fewer where they would take more than productBytes.
const (
	mostProducts  = 24
	fewProducts   = 4
	productBytes  = 8 << 20
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
