package nn

import (
	"fmt"
	"iter"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Freeze excludes the variables of a scope from gradients.
func Freeze(scope *model.Scope) {
	for v := range scope.IterVariables() {
		v.SetTrainable(false)
	}
}

// A Copy is a second set of a network's variables, such as a target network or an average
// of the weights. From and To are the scopes of the network and of its copy.
type Copy struct {
	Store    *model.Store
	From, To string
}

// pairs are the variables of the network that training changes, each with the path of its
// counterpart. The optimiser's variables, which are in the network's scope too, have none.
func (c Copy) pairs() iter.Seq2[*model.Variable, string] {
	return func(yield func(*model.Variable, string) bool) {
		for v := range c.Store.Scope(c.From).IterVariables() {
			if !v.Trainable && !IsRunning(v) {
				continue
			}
			if !yield(v, model.JoinPath("/", c.To, strings.TrimPrefix(v.Path(), "/"+c.From))) {
				return
			}
		}
	}
}

// Reset sets the copy to the values of the network.
func (c Copy) Reset() error {
	for v, path := range c.pairs() {
		to := c.Store.GetVariable(path)
		if to == nil {
			return fmt.Errorf("nn: %s has no copy %s", v.Path(), path)
		}
		value, err := v.Value()
		if err != nil {
			return err
		}
		if value, err = value.LocalClone(); err != nil {
			return err
		}
		if err := to.SetValue(value); err != nil {
			return err
		}
	}
	return nil
}

// Follow moves every variable of the copy by a share towards its counterpart, inside a
// graph.
func (c Copy) Follow(g *Graph, share float64) {
	var from []*model.Variable
	counterpart := map[*model.Variable]*model.Variable{}
	for v, path := range c.pairs() {
		to := c.Store.GetVariable(path)
		if to == nil {
			panic(fmt.Errorf("nn: %s has no copy %s", v.Path(), path))
		}
		from, counterpart[v] = append(from, v), to
	}
	for _, vector := range vectors(from) {
		var to Vector
		for _, v := range vector {
			to = append(to, counterpart[v])
		}
		old := to.Value(g)
		to.SetValue(Add(old, MulScalar(Sub(vector.Value(g), old), share)))
	}
}
