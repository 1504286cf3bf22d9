package nn

import (
	"fmt"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// Packed runs graphs on the variables of a store. In contrast to model.Exec it passes
// small variables to a graph and back as few Vectors: each array takes about a microsecond
// of a call. The store has their current values only after Unpack.
type Packed struct {
	backend compute.Backend
	store   *model.Store
	vectors []Vector
	values  []*tensors.Tensor // of vectors with several variables; nil: only the store has them
	changed bool              // by a graph since they were packed
}

// Pack prepares a store, which must have all its variables and their values.
func Pack(backend compute.Backend, store *model.Store) *Packed {
	return &Packed{backend: backend, store: store, vectors: vectors(variables(store))}
}

// Unpack gives the store's variables their current values. They may be changed until the
// next call of a graph.
func (p *Packed) Unpack() error {
	if p.values == nil {
		return nil
	}
	for i, value := range p.values {
		vector := p.vectors[i]
		if value == nil {
			continue
		}
		if p.changed {
			numbers, err := tensors.CopyFlatData[float32](value)
			if err != nil {
				return fmt.Errorf("nn: unpacking variables: %w", err)
			}
			for _, v := range vector {
				n := v.Shape().Size()
				if err := v.SetValue(tensors.FromFlatDataAndDimensions(numbers[:n:n], v.Shape().Dimensions...)); err != nil {
					return fmt.Errorf("nn: unpacking %s: %w", v.Path(), err)
				}
				numbers = numbers[n:]
			}
		}
		if err := value.FinalizeAll(); err != nil {
			return fmt.Errorf("nn: unpacking variables: %w", err)
		}
	}
	p.values, p.changed = nil, false
	return nil
}

// pack is Unpack's inverse.
func (p *Packed) pack() error {
	if p.values != nil {
		return nil
	}
	values := make([]*tensors.Tensor, len(p.vectors))
	for i, vector := range p.vectors {
		if len(vector) == 1 {
			continue
		}
		var numbers []float32
		for _, v := range vector {
			value, err := v.Value()
			if err != nil {
				return fmt.Errorf("nn: packing %s: %w", v.Path(), err)
			}
			if err := tensors.ConstFlatData(value, func(flat []float32) { numbers = append(numbers, flat...) }); err != nil {
				return fmt.Errorf("nn: packing %s: %w", v.Path(), err)
			}
		}
		values[i] = tensors.FromFlatDataAndDimensions(numbers, len(numbers))
	}
	p.values = values
	return nil
}

// value is the current value of vector i.
func (p *Packed) value(i int) (*tensors.Tensor, error) {
	if len(p.vectors[i]) == 1 {
		return p.vectors[i][0].Value()
	}
	return p.values[i], nil
}

// setValue is what a graph has made of vector i.
func (p *Packed) setValue(i int, x *tensors.Tensor) error {
	if len(p.vectors[i]) == 1 {
		return p.vectors[i][0].SetValue(x)
	}
	p.changed = true
	old := p.values[i]
	p.values[i] = x
	return old.FinalizeAll()
}

// A Program is a graph that uses, and may change, a Packed's variables. It is compiled for
// each shape of its inputs.
type Program struct {
	packed      *Packed
	build       func(*model.Scope, []*Node) []*Node
	compiledFor []*compiled
}

// compiled is a Program compiled for one shape of its inputs.
type compiled struct {
	inputs        []shapes.Shape
	uses, changes []int // of the Packed's vectors
	exec          *Exec
}

// NewProgram makes a Program of a builder like model.Exec's.
func (p *Packed) NewProgram(build func(*model.Scope, []*Node) []*Node) *Program {
	return &Program{packed: p, build: build}
}

// Compile compiles the graph for inputs of the given shapes.
func (r *Program) Compile(in ...shapes.Shape) error {
	_, err := r.forInputs(in)
	return err
}

func (r *Program) forInputs(in []shapes.Shape) (*compiled, error) {
	for _, p := range r.compiledFor {
		if slices.EqualFunc(p.inputs, in, shapes.Shape.Equal) {
			return p, nil
		}
	}
	uses, err := r.uses(in)
	if err != nil {
		return nil, err
	}
	p := &compiled{inputs: in, uses: uses}
	var all []shapes.Shape
	for _, i := range uses {
		all = append(all, r.packed.vectors[i].shape())
	}
	p.exec, err = NewExec(r.packed.backend, func(all []*Node) []*Node {
		p.changes = nil
		var vars []*model.Variable
		for n, i := range uses {
			r.packed.vectors[i].introduce(r.packed.store, all[n])
			vars = append(vars, r.packed.vectors[i]...)
		}
		before := remember(all[0].Graph(), vars)
		results := r.build(r.packed.store.RootScope(), all[len(uses):])
		changed := before.changed()
		var values []*Node
		for _, i := range uses {
			vector := r.packed.vectors[i]
			if slices.ContainsFunc(vector, func(v *model.Variable) bool { return slices.Contains(changed, v) }) {
				p.changes, values = append(p.changes, i), append(values, vector.Value(all[0].Graph()))
			}
		}
		return append(values, results...)
	})
	if err != nil {
		return nil, err
	}
	p.exec.WithName("Program")
	if _, err := p.exec.Compile(append(all, in...)...); err != nil {
		p.exec.Finalize()
		return nil, err
	}
	r.compiledFor = append(r.compiledFor, p)
	return p, nil
}

// uses builds the graph without compiling it, to see which vectors it uses.
func (r *Program) uses(in []shapes.Shape) (used []int, err error) {
	err = buildOnly(r.packed.backend, r.packed.store, in, func(scope *model.Scope, in []*Node) {
		r.build(scope, in)
		for i, vector := range r.packed.vectors {
			if slices.ContainsFunc(vector, func(v *model.Variable) bool { return v.InUseByGraph(in[0].Graph()) }) {
				used = append(used, i)
			}
		}
	})
	return used, err
}

// Call runs the graph and returns its results.
func (r *Program) Call(in ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	sizes := make([]shapes.Shape, len(in))
	for i, x := range in {
		sizes[i] = x.Shape()
	}
	p, err := r.forInputs(sizes)
	if err != nil {
		return nil, err
	}
	if err := r.packed.pack(); err != nil {
		return nil, err
	}
	all := make([]any, 0, len(p.uses)+len(in))
	for _, i := range p.uses {
		value, err := r.packed.value(i)
		if err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	for _, x := range in {
		all = append(all, x)
	}
	for _, x := range all {
		// Otherwise GoMLX asks each where it is, and makes an error with a stack trace of
		// those that are nowhere.
		if err := x.(*tensors.Tensor).MaterializeOnDevice(r.packed.backend, true, 0); err != nil {
			return nil, err
		}
	}
	out, err := p.exec.Call(all...)
	if err != nil {
		return nil, err
	}
	for n, i := range p.changes {
		if err := r.packed.setValue(i, out[n]); err != nil {
			return nil, err
		}
	}
	return out[len(p.changes):], nil
}

// Finalize frees the compiled graphs.
func (r *Program) Finalize() {
	for _, p := range r.compiledFor {
		p.exec.Finalize()
	}
}

// shape is that of the vector's Value.
func (all Vector) shape() shapes.Shape {
	if len(all) == 1 {
		return all[0].Shape()
	}
	n := 0
	for _, v := range all {
		n += v.Shape().Size()
	}
	return shapes.Make(dtypes.Float32, n)
}

// introduce gives the vector's variables their values in a graph in which they have none,
// x. By itself a variable would become a parameter of the graph. If it is first used as a
// constant, which nothing depends on, it does not.
func (all Vector) introduce(store *model.Store, x *Node) {
	for _, v := range all {
		value := v.MustValue()
		v.SetValuePreservingOld(tensors.FromScalar(float32(0)))
		store.WithVariableAsConst(true)
		v.NodeValue(x)
		store.WithVariableAsConst(false)
		v.SetValuePreservingOld(value)
	}
	all.SetValue(x)
}
