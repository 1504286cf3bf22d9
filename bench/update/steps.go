package main

import (
	"fmt"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/replay"
)

// manySteps is how many steps of an optimiser run in one call.
const manySteps = 32

// steps is a call with an update's inputs, variables and outputs that makes only the
// optimiser's steps of some parts, each with the part's variables for gradients. With no
// step it copies in and out and calls, and does nothing else.
type steps struct {
	exec  *model.Exec
	batch *replay.Batch
}

// newSteps prepares the steps of the parts in the given scopes of a learner's store.
func newSteps(backend compute.Backend, store *model.Store, cfg sac.Config, batch *replay.Batch, scopes ...string) (*steps, error) {
	exec, err := model.NewExec(backend, store, func(root *model.Scope, in []*Node) []*Node {
		return loop(store, in, func(g *Graph) {
			for _, name := range scopes {
				step(root, g, cfg, name)
			}
		})
	})
	return &steps{exec, batch}, err
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

// loop does body in[0] times on the store's variables, as an update does its fused
// updates. It answers about as much as an update does: the count, and the last input, a
// number for every row.
func loop(store *model.Store, in []*Node, body func(*Graph)) []*Node {
	g := in[0].Graph()
	var vars []*model.Variable
	state := append([]*Node{Const(g, int32(0))}, in...)
	for v := range store.IterVariables() {
		vars = append(vars, v)
		state = append(state, v.NodeValue(g))
	}
	first := 1 + len(in) // of the variables
	parameters := func(g *Graph) []*Node {
		all := make([]*Node, len(state))
		for i, x := range state {
			all[i] = Parameter(g, fmt.Sprintf("state_%d", i), x.Shape())
		}
		return all
	}
	more := NewClosure(g, func(g *Graph) []*Node {
		now := parameters(g)
		return []*Node{LessThan(now[0], now[1])}
	})
	once := NewClosure(g, func(g *Graph) []*Node {
		now := parameters(g)
		for i, v := range vars {
			v.SetNodeValue(now[first+i])
		}
		body(g)
		after := append([]*Node{Add(now[0], Const(g, int32(1)))}, now[1:first]...)
		for _, v := range vars {
			after = append(after, v.NodeValue(g))
		}
		return after
	})
	state = While(more, once, state...)
	for i, v := range vars {
		v.SetNodeValue(state[first+i])
	}
	return []*Node{state[0], state[first-1]}
}

// times makes n steps of each part in one call.
func (s *steps) times(n int) *timed {
	b := s.batch
	table := func(x []float32) *tensors.Tensor { return tensors.FromFlatDataAndDimensions(x, b.N, len(x)/b.N) }
	return &timed{parts: 1, do: func() error {
		out, err := s.exec.Call(tensors.FromScalar(int32(n)), table(b.Obs), table(b.Action), table(b.Next),
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
