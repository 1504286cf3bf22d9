package sac_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
)

// Ensure that with a split loss the start learns exactly what it learns alone, and that
// what moves the particles learns too, which by the start's loss it does not.
func TestSplitLoss(t *testing.T) {
	policy := policies.NewStein()
	policy.Network = nn.Network{Hidden: []int{4}, Activation: "elu", Norm: "batch"}
	policy.Sampler.Trace.Hessian = true
	policy.Sampler.Bandwidth.Kind, policy.Sampler.StepSize.Kind = "learned", "learned"
	after := func(loss string, particles int) (s *sac.Learner, before map[string][]float32) {
		cfg := tiny()
		cfg.Target, cfg.PolicyLoss, cfg.Particles, cfg.TargetParticles, cfg.PolicyStates = "start", loss, particles, 1, 0
		if loss == "split" {
			cfg.PolicyStates = 2
		}
		s = newSAC(t, policy, cfg)
		before = map[string][]float32{}
		for v := range s.Store().IterVariables() {
			if strings.HasPrefix(v.Path(), "/policy/") && v.Trainable {
				before[v.Path()] = slices.Clone(weights(t, s, v.Path()))
			}
		}
		if _, err := s.Update(randomBatch(4, obsDim, actDim)); err != nil {
			t.Fatal(err)
		}
		return s, before
	}
	alone, _ := after("start", 1)
	split, before := after("split", 3)
	moving := 0
	for path, old := range before {
		a, b := weights(t, alone, path), weights(t, split, path)
		if strings.Contains(path, "/sampler/") {
			moving++
			if !slices.Equal(a, old) {
				t.Errorf("%s is %v after an update by the start's loss, before %v", path, a, old)
			}
			if slices.Equal(b, old) {
				t.Errorf("%s is still %v after an update by the split loss", path, b)
			}
			continue
		}
		if slices.Equal(b, old) {
			t.Errorf("%s is unchanged", path)
		}
		for i := range a {
			if d := a[i] - b[i]; d > 1e-6 || d < -1e-6 {
				t.Errorf("%s[%d] is %g by the split loss, %g by the start's alone", path, i, b[i], a[i])
			}
		}
	}
	if moving != 2 {
		t.Errorf("%d variables move the particles, want σ and ε", moving)
	}
}
