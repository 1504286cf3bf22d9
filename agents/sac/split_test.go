package sac_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"

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

// Ensure that the policy uses the average of the critics, including running statistics, and
// that the losses use the critics themselves.
func TestCriticAverage(t *testing.T) {
	cfg := tiny()
	cfg.Tau, cfg.Critic.Norm, cfg.CriticAverage, cfg.CriticLR = nil, "batch", 0.75, 0.1
	s := newSAC(t, policies.NewGaussian(), cfg)
	path := func(scope string) string { return "/" + scope + "/q0/rest/out/biases" }
	before := weights(t, s, path("critic"))[0]
	if steady := weights(t, s, path("steady_critic"))[0]; steady != before {
		t.Fatalf("the average begins at %g, the critic at %g", steady, before)
	}
	b := randomBatch(4, obsDim, actDim)
	if _, err := s.Update(b); err != nil {
		t.Fatal(err)
	}
	now, steady := weights(t, s, path("critic"))[0], weights(t, s, path("steady_critic"))[0]
	if want := 0.75*before + 0.25*now; now == before || math.Abs(float64(steady-want)) > 1e-6 {
		t.Errorf("average %g after an update from %g to %g, want %g", steady, before, now, want)
	}
	running := false
	for v := range s.Store().IterVariables() {
		running = running || strings.HasPrefix(v.Path(), "/steady_critic/") && nn.IsRunning(v)
	}
	if !running {
		t.Error("the average has no running statistics")
	}

	value := func() float32 {
		p, err := s.Portrait(b.Obs[:obsDim], 1, b.Action[:actDim])
		if err != nil {
			t.Fatal(err)
		}
		return p.Value[0]
	}
	asked := value()
	shift := func(scope string, by float32) {
		for _, k := range []string{"q0", "q1"} {
			v := s.Store().GetVariable("/" + scope + "/" + k + "/rest/out/biases")
			if err := v.SetValue(tensors.FromValue([]float32{weights(t, s, v.Path())[0] + by})); err != nil {
				t.Fatal(err)
			}
		}
	}
	if shift("critic", 5); value() != asked {
		t.Error("the policy sees the critics themselves")
	}
	if shift("steady_critic", 7); math.Abs(float64(value()-asked-7)) > 1e-5 {
		t.Errorf("value %g, before the average rose by 7 %g", value(), asked)
	}
	loss := func() float64 {
		m, err := s.Update(b)
		if err != nil {
			t.Fatal(err)
		}
		return m["train/actor_loss"]
	}
	first := loss()
	if shift("critic", 100); loss() > first-50 {
		t.Error("the policy's loss does not ask the critics themselves")
	}
}
