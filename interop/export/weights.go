package export

import (
	"fmt"
	"iter"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/replay/normalize"
)

// A Weighted learner gives the values of what it has learned by the paths of its
// variables, such as /policy/gaussian/hidden_0/weights.
type Weighted interface {
	Weights() iter.Seq2[string, *tensors.Tensor]
}

// Weights are the variables of a learner by their paths with dots, such as
// policy.gaussian.hidden_0.weights: policy, both critics (critic.q0, critic.q1) and
// their targets (target.q0, target.q1), and alpha.log_alpha. What optimisers keep is
// left out. Weights of a layer are [inputs, outputs].
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

// Statistics are what observations are normalised by, (obs − mean) / √(var + 1e-8):
// normalize.obs.mean and normalize.obs.var; none where they are not.
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
