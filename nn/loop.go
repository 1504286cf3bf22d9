package nn

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Loop repeats body while more holds, a bool scalar, in one graph: on state, whose shapes
// stay, and on all variables of a store, which body may assign. It returns the last state.
//
// Neither more nor body may use nodes from outside, and before the loop every scalar must
// be a Const: the engine's cache of scalars ignores closures and would return a node of
// another one.
func Loop(store *model.Store, state []*Node, more func(state []*Node) *Node, body func(state []*Node) []*Node) []*Node {
	g := state[0].Graph()
	vars := vectors(variables(store))
	all := append([]*Node(nil), state...)
	for _, v := range vars {
		all = append(all, v.Value(g))
	}
	parameters := func(g *Graph) []*Node {
		now := make([]*Node, len(all))
		for i, x := range all {
			now[i] = Parameter(g, fmt.Sprintf("state_%d", i), x.Shape())
		}
		return now
	}
	goesOn := NewClosure(g, func(g *Graph) []*Node { return []*Node{more(parameters(g)[:len(state)])} })
	once := NewClosure(g, func(g *Graph) []*Node {
		now := parameters(g)
		for i, v := range vars {
			v.SetValue(now[len(state)+i])
		}
		after := body(now[:len(state):len(state)])
		for _, v := range vars {
			after = append(after, v.Value(g))
		}
		return after
	})
	all = While(goesOn, once, all...)
	for i, v := range vars {
		v.SetValue(all[len(state)+i])
	}
	return all[:len(state)]
}
