package sac_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/policies"
)

// Ensure that a learner built to play has the variables that actions need and no others,
// answers with the same bits as a whole one, and refuses what needs the rest.
func TestPlay(t *testing.T) {
	fast := func(particles int, average float64) settings {
		c := tiny()
		c.Critic.Norm, c.Tau = "batch", nil
		c.Particles, c.PolicyAverage = particles, average
		return c
	}
	gaussian, stein := policies.NewGaussian(), policies.NewStein()
	gaussian.Hidden, gaussian.Norm = []int{6, 5}, "batch"
	stein.Hidden, stein.Norm = []int{6, 5}, "batch"
	stein.Sampler.Bandwidth.Kind, stein.Sampler.StepSize.Kind = "network", "network"
	followed := fast(3, 0.9)
	followed.CriticAverage = 0.9
	for name, c := range map[string]struct {
		policy   policies.Policy
		cfg      settings
		scopes   string // of the variables that are left
		explores bool
		critics  bool
	}{
		"gaussian":             {policy: gaussian, cfg: fast(1, 0.9), scopes: "alpha average"},
		"gaussian, no average": {policy: gaussian, cfg: fast(1, 0), scopes: "alpha policy", explores: true},
		"particles":            {policy: stein, cfg: followed, scopes: "alpha average steady_critic", critics: true},
		"particles, no critic average": {
			policy: stein, cfg: fast(3, 0), scopes: "alpha critic policy", explores: true, critics: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			task := c.cfg.task(t, c.policy, spec, 5)
			task.Use = agents.ToAct
			whole := learner(t, c.cfg, task)
			stir(t, whole)
			task.Use = agents.ToPlay
			played := learner(t, c.cfg, task)

			size, left := whole.Store().ByteSize(), played.Store().ByteSize()
			var scopes []string
			for v := range played.Store().IterVariables() {
				scopes = append(scopes, strings.Split(v.Path(), "/")[1])
			}
			slices.Sort(scopes)
			if got := strings.Join(slices.Compact(scopes), " "); got != c.scopes || left >= size {
				t.Fatalf("%d of %d bytes are left, in the scopes %s, want %s", left, size, got, c.scopes)
			}

			rng := rand.New(rand.NewPCG(1, 2))
			obs := make([]float32, 4*obsDim)
			for i := range obs {
				obs[i] = float32(rng.NormFloat64())
			}
			want := answersOf(t, whole, obs, c.explores)
			if err := agents.Adopt(played, whole.Store()); err != nil {
				t.Fatal(err)
			}
			got := answersOf(t, played, obs, c.explores)
			for i := range want {
				if !slices.Equal(got[i].Action, want[i].Action) || !slices.Equal(got[i].LogProb, want[i].LogProb) || !slices.Equal(got[i].Entropy, want[i].Entropy) {
					t.Errorf("answer %d: %+v\nwant %+v", i, got[i], want[i])
				}
				if !c.critics && got[i].Value != nil || c.critics && !slices.Equal(got[i].Value, want[i].Value) {
					t.Errorf("answer %d: values %v of %v", i, got[i].Value, want[i].Value)
				}
			}
			if _, err := played.Act(obs, false); errors.Is(err, agents.ErrLeftOut) == c.explores {
				t.Errorf("exploring: %v", err)
			}
			if _, err := played.Portrait(obs[:obsDim], 1, []float32{0, 0}); errors.Is(err, agents.ErrLeftOut) == c.critics {
				t.Errorf("a portrait: %v", err)
			}
			if _, err := played.SoftValues("particles", c.cfg.Particles); !c.explores && !errors.Is(err, agents.ErrLeftOut) {
				t.Errorf("soft values: %v", err)
			}
			if _, err := played.Update(randomBatch(4, obsDim, actDim)); err == nil {
				t.Error("it was updated")
			}
		})
	}
}

// answersOf acts greedily twice, draws if it explores, and asks an oracle for both.
func answersOf(t *testing.T, s *sac.Learner, obs []float32, explores bool) (all []agents.Answer) {
	t.Helper()
	s.SeedGreedy(11)
	calls := []bool{true, true}
	if explores {
		calls = append(calls, false)
	}
	for _, greedy := range calls {
		action, err := s.Act(obs, greedy)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, agents.Answer{Action: slices.Clone(action)})
	}
	o := newOracle(t, s, 4)
	for _, greedy := range []bool{true, false} {
		a, err := o.Ask(obs, greedy, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// stir moves all variables from their initial values, so that averages differ from what
// they follow.
func stir(t *testing.T, s *sac.Learner) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	for v := range s.Store().IterVariables() {
		if v.DType() != dtypes.Float32 {
			continue
		}
		x := tensors.MustCopyFlatData[float32](v.MustValue())
		for i := range x {
			x[i] += float32(0.1 * rng.NormFloat64())
			if v.Name() == "running_variance" {
				x[i] = float32(math.Abs(float64(x[i])))
			}
		}
		if err := v.SetValue(tensors.FromFlatDataAndDimensions(x, v.Shape().Dimensions...)); err != nil {
			t.Fatal(err)
		}
	}
}
