package td3

import (
	"errors"
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/nn"
)

// oracle answers with the actor's actions, without noise.
type oracle struct {
	of      *Learner
	exec    *model.Exec
	batches agents.Batches
}

// Oracle compiles the graph for batches of the given sizes.
func (s *Learner) Oracle(sizes []int) (agents.Oracle, error) {
	batches, err := agents.NewBatches(sizes)
	if err != nil {
		return nil, fmt.Errorf("td3: oracle: %w", err)
	}
	exec, err := model.NewExec(s.backend, s.store, func(scope *model.Scope, obs *Node) []*Node {
		action := s.actor(scope, obs)
		if !nn.Has(s.store, criticScope) { // built ToPlay
			return []*Node{action}
		}
		return []*Node{action, Min(s.critic(scope, 0, obs, action), s.critic(scope, 1, obs, action))}
	})
	if err != nil {
		return nil, fmt.Errorf("td3: oracle: %w", err)
	}
	for _, n := range batches.Sizes {
		if _, err := exec.Compile(shapes.Make(dtypes.Float32, n, s.spec.ObsDim)); err != nil {
			exec.Finalize()
			return nil, fmt.Errorf("td3: oracle: batch of %d: %w", n, err)
		}
	}
	return &oracle{s, exec, batches}, nil
}

// Batch is the largest number of rows computed in one call.
func (o *oracle) Batch() int { return o.batches.Largest() }

// Draws is false: greedy actions are deterministic.
func (o *oracle) Draws() (bool, error) { return false, nil }

// Close frees the graph.
func (o *oracle) Close() { o.exec.Finalize() }

// Ask answers obs [n*S] in batches; it pads the last one with zeros.
func (o *oracle) Ask(obs []float32, _ bool, _, _ uint64) (agents.Answer, error) {
	var all agents.Answer
	err := o.batches.Each(obs, o.of.spec.ObsDim, func(_, rows, size int, batch []float32) error {
		out, err := o.exec.Call(tensors.FromFlatDataAndDimensions(batch, size, o.of.spec.ObsDim))
		if err != nil {
			return err
		}
		err = tensors.ConstFlatData(out[0], func(x []float32) { all.Action = append(all.Action, x[:rows*o.of.spec.ActDim]...) })
		for _, value := range out[1:] {
			err = errors.Join(err, tensors.ConstFlatData(value, func(x []float32) { all.Value = append(all.Value, x[:rows]...) }))
		}
		return err
	})
	if err != nil {
		return agents.Answer{}, fmt.Errorf("td3: oracle: %w", err)
	}
	return all, nil
}
