package td3

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
)

// oracle answers with the actor's actions, without noise.
type oracle struct {
	of    *Learner
	exec  *model.Exec
	sizes []int // ascending
}

// Oracle compiles the graph for batches of the given sizes.
func (s *Learner) Oracle(sizes []int) (agents.Oracle, error) {
	sizes = slices.Compact(slices.Sorted(slices.Values(sizes)))
	if len(sizes) == 0 || sizes[0] < 1 {
		return nil, fmt.Errorf("td3: oracle with batch sizes %v: want at least one, each at least 1", sizes)
	}
	exec, err := model.NewExec(s.backend, s.store, func(scope *model.Scope, obs *Node) []*Node {
		action := s.actor(scope, obs)
		return []*Node{action, Min(s.critic(scope, 0, obs, action), s.critic(scope, 1, obs, action))}
	})
	if err != nil {
		return nil, fmt.Errorf("td3: oracle: %w", err)
	}
	for _, n := range sizes {
		if _, err := exec.Compile(shapes.Make(dtypes.Float32, n, s.spec.ObsDim)); err != nil {
			exec.Finalize()
			return nil, fmt.Errorf("td3: oracle: batch of %d: %w", n, err)
		}
	}
	return &oracle{s, exec, sizes}, nil
}

// Batch is the largest number of rows computed in one call.
func (o *oracle) Batch() int { return o.sizes[len(o.sizes)-1] }

// Draws is false: greedy actions are deterministic.
func (o *oracle) Draws() (bool, error) { return false, nil }

// Close frees the graph.
func (o *oracle) Close() { o.exec.Finalize() }

// Ask answers obs [n*S] in batches; it pads the last one with zeros.
func (o *oracle) Ask(obs []float32, _ bool, _, _ uint64) (agents.Answer, error) {
	width, all := o.of.spec.ObsDim, agents.Answer{}
	n := len(obs) / width
	if n == 0 || n*width != len(obs) {
		return all, fmt.Errorf("td3: oracle: got %d numbers, not a multiple of the observation size %d", len(obs), width)
	}
	for from := 0; from < n; from += o.Batch() {
		rows := min(n-from, o.Batch())
		at, _ := slices.BinarySearch(o.sizes, rows)
		padded := make([]float32, o.sizes[at]*width)
		copy(padded, obs[from*width:(from+rows)*width])
		out, err := o.exec.Call(tensors.FromFlatDataAndDimensions(padded, o.sizes[at], width))
		if err != nil {
			return agents.Answer{}, fmt.Errorf("td3: oracle: %w", err)
		}
		err = errors.Join(
			tensors.ConstFlatData(out[0], func(x []float32) { all.Action = append(all.Action, x[:rows*o.of.spec.ActDim]...) }),
			tensors.ConstFlatData(out[1], func(x []float32) { all.Value = append(all.Value, x[:rows]...) }))
		if err != nil {
			return agents.Answer{}, fmt.Errorf("td3: oracle: %w", err)
		}
	}
	return all, nil
}
