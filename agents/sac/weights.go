package sac

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
)

// Weights are the learned values by variable path: policy, critics, their targets and
// averages, and log α, without the optimisers' state.
func (s *Learner) Weights() iter.Seq2[string, *tensors.Tensor] {
	return func(yield func(string, *tensors.Tensor) bool) {
		for v := range s.Store().IterVariables() {
			learned := v.Trainable || nn.IsRunning(v) || v.Path() == "/"+alphaScope+"/log_alpha" ||
				strings.HasPrefix(v.Path(), "/"+targetScope+"/") || strings.HasPrefix(v.Path(), "/"+averageScope+"/") ||
				strings.HasPrefix(v.Path(), "/"+steadyScope+"/")
			if learned && !yield(v.Path(), v.MustValue()) {
				return
			}
		}
	}
}

// SetWeights is the inverse of Weights. It needs exactly those variables, with their
// shapes; otherwise it changes nothing. The optimisers' state stays as it is.
func (s *Learner) SetWeights(values map[string]*tensors.Tensor) error {
	known := map[string]bool{}
	for path, old := range s.Weights() {
		known[path] = true
		value, ok := values[path]
		if !ok {
			return fmt.Errorf("sac: weights for %s are missing", path)
		}
		if !value.Shape().Equal(old.Shape()) {
			return fmt.Errorf("sac: weights for %s have shape %s, the model's have %s", path, value.Shape(), old.Shape())
		}
	}
	for path := range values {
		if !known[path] {
			return fmt.Errorf("sac: unknown weights %s: the model has no such variable", path)
		}
	}
	for path := range known {
		if err := s.Store().GetVariable(path).SetValue(values[path]); err != nil {
			return fmt.Errorf("sac: weights for %s: %w", path, err)
		}
	}
	return nil
}

// Sizes reads the sizes of observations and actions from a learner's variables.
func (Config) Sizes(store *model.Store) (obsDim, actDim int, err error) {
	rows := func(layer string) int {
		v := store.GetVariable("/" + criticScope + "/q0/" + layer + "/weights")
		if v == nil || v.Shape().Rank() != 2 {
			return 0
		}
		return v.Shape().Dim(0)
	}
	obsDim, actDim = rows("of_obs"), rows("of_action")
	if obsDim == 0 || actDim == 0 {
		return 0, 0, errors.New("sac: no critic found among the variables: not a checkpoint of soft actor-critic")
	}
	return obsDim, actDim, nil
}
