package export

import (
	"fmt"
	"iter"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/replay/normalize"
)

// A Weighted learner returns its variables' values by path, such as
// /policy/gaussian/hidden_0/weights.
type Weighted interface {
	Weights() iter.Seq2[string, *tensors.Tensor]
}

// Weights returns the variables of a learner, named by their paths with dots, such as
// policy.gaussian.hidden_0.weights: policy, both critics (critic.q0, critic.q1) and
// their targets (target.q0, target.q1), and alpha.log_alpha. It omits the optimisers'
// variables. Weights of a layer are [inputs, outputs].
func Weights(s Weighted) ([]Tensor, error) {
	var all []Tensor
	for path, v := range s.Weights() {
		if v.DType() != dtypes.Float32 {
			return nil, fmt.Errorf("export: variable %s has unsupported type %s", path, v.DType())
		}
		data, err := tensors.CopyFlatData[float32](v)
		if err != nil {
			return nil, fmt.Errorf("export: variable %s: %w", path, err)
		}
		name := strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")
		all = append(all, Tensor{Name: name, Shape: v.Shape().Dimensions, Data: data})
	}
	return all, nil
}

// Statistics returns the statistics that observations are normalised with, (obs − mean) /
// √(var + 1e-8), as normalize.obs.mean and normalize.obs.var; nil gives nil.
func Statistics(m *normalize.Moments) []Tensor {
	if m == nil {
		return nil
	}
	single := func(x []float64) []float32 {
		y := make([]float32, len(x))
		for i := range x {
			y[i] = float32(x[i])
		}
		return y
	}
	return []Tensor{
		{"normalize.obs.mean", []int{len(m.Mean)}, single(m.Mean)},
		{"normalize.obs.var", []int{len(m.Var)}, single(m.Var)},
	}
}
