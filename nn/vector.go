package nn

import (
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"
)

// longestMember is the largest variable that is computed with others as one vector.
const longestMember = 1 << 14

// A Vector is variables that are computed with as one array. Dozens of small arrays take
// longer to handle one by one than to compute with.
type Vector []*model.Variable

// variables are a store's, without GoMLX's random state, which no graph here uses.
func variables(store *model.Store) (all []*model.Variable) {
	for v := range store.IterVariables() {
		if v.Name() != model.RNGStateVariableName {
			all = append(all, v)
		}
	}
	return all
}

// vectors splits variables into Vectors, in their order: the small ones of a network that
// are of one kind, or one large one.
func vectors(vars []*model.Variable) (all []Vector) {
	at := map[string]int{}
	for _, v := range vars {
		kind := kindOf(v)
		if i, ok := at[kind]; ok && kind != "" {
			all[i] = append(all[i], v)
			continue
		}
		at[kind] = len(all)
		all = append(all, Vector{v})
	}
	return all
}

// kindOf names the network that a small variable belongs to and what it is there; empty if
// the variable is computed with alone.
func kindOf(v *model.Variable) string {
	shape := v.Shape()
	if shape.DType != dtypes.Float32 || shape.Size() > longestMember {
		return ""
	}
	if shape.IsScalar() {
		return "number"
	}
	path := strings.TrimPrefix(v.Path(), momentsScope)
	network, _, _ := strings.Cut(path[1:], "/")
	what := "frozen"
	switch {
	case path != v.Path() && strings.HasSuffix(path, firstMoment):
		what = firstMoment
	case path != v.Path():
		what = secondMoment
	case v.Trainable:
		what = "trained"
	case IsRunning(v):
		what = "running"
	}
	return network + " " + what
}

// Names of Adam's moments of a variable.
const (
	firstMoment  = "_1st_moment"
	secondMoment = "_2nd_moment"
)

// moments are the variables with Adam's moments of v, which they create.
func moments(store *model.Store, v *model.Variable) (first, second *model.Variable) {
	at := store.Scope(model.JoinPath(momentsScope, v.Scope())).WithInitializer(initializer.Zero)
	shape := shapes.Make(dtypes.Float32, v.Shape().Dimensions...)
	first = at.VariableWithShape(v.Name()+firstMoment, shape).SetTrainable(false)
	second = at.VariableWithShape(v.Name()+secondMoment, shape).SetTrainable(false)
	return first, second
}

// joined is one node with all numbers of some nodes; of one node, that node.
func joined(all []*Node) *Node {
	if len(all) == 1 {
		return all[0]
	}
	parts := make([]*Node, len(all))
	for i, x := range all {
		parts[i] = Reshape(x, x.Shape().Size())
	}
	return Concatenate(parts, 0)
}

// Value is the vector's numbers in a graph.
func (all Vector) Value(g *Graph) *Node {
	values := make([]*Node, len(all))
	for i, v := range all {
		values[i] = v.NodeValue(g)
	}
	return joined(values)
}

// SetValue is Value's inverse.
func (all Vector) SetValue(x *Node) {
	if len(all) == 1 {
		all[0].SetNodeValue(x)
		return
	}
	from := 0
	for _, v := range all {
		n := v.Shape().Size()
		v.SetNodeValue(Reshape(Slice(x, AxisRange(from, from+n)), v.Shape().Dimensions...))
		from += n
	}
}
