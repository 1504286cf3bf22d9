package sac

import (
	"fmt"

	"github.com/gomlx/gomlx/core/tensors"
)

// SetWeights is the way back from Weights: all of them and no others, each in its
// shape. What optimisers keep is left as it is. Nothing changes where something doesn't fit.
func (s *Learner) SetWeights(values map[string]*tensors.Tensor) error {
	known := map[string]bool{}
	for path, old := range s.Weights() {
		known[path] = true
		value, ok := values[path]
		if !ok {
			return fmt.Errorf("sac: no weights for %s", path)
		}
		if !value.Shape().Equal(old.Shape()) {
			return fmt.Errorf("sac: weights for %s are %s, the model has %s", path, value.Shape(), old.Shape())
		}
	}
	for path := range values {
		if !known[path] {
			return fmt.Errorf("sac: the model has no weights %s", path)
		}
	}
	for path := range known {
		if err := s.store.GetVariable(path).SetValue(values[path]); err != nil {
			return fmt.Errorf("sac: weights for %s: %w", path, err)
		}
	}
	return nil
}
