package sac_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stein-rl/stein/agents/sac"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/policies"
)

func newOracle(t *testing.T, s *sac.Learner, sizes ...int) agents.Oracle {
	t.Helper()
	o, err := s.Oracle(sizes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// Ensure that the figures belong to the action beside them: of known, log π is the
// sum of the action, and one of its two particles is dead.
func TestOracleFigures(t *testing.T) {
	s := newSAC(t, known{}, tiny())
	o := newOracle(t, s, 4, 1)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 4, 5, 11} {
		obs := make([]float32, n*obsDim)
		for i := range obs {
			obs[i] = float32(rng.NormFloat64())
		}
		for _, greedy := range []bool{false, true} {
			a, err := o.Ask(obs, greedy, 1, 0)
			if err != nil {
				t.Fatal(err)
			}
			want, err := s.Act(obs, greedy)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Action) != n*actDim || len(a.Entropy) != n || len(a.Value) != n || len(a.LogProb) != map[bool]int{false: n}[greedy] {
				t.Fatalf("%d rows: %+v", n, a)
			}
			for i := range n {
				action := a.Action[i*actDim : (i+1)*actDim]
				sum := float64(action[0] + action[1])
				p, err := s.Portrait(obs[i*obsDim:(i+1)*obsDim], 1, action)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(action, want[i*actDim:(i+1)*actDim]) || math.Abs(float64(a.Entropy[i])+sum) > 1e-5 ||
					math.Abs(float64(a.Value[i]-p.Value[0])) > 1e-5 || !greedy && math.Abs(float64(a.LogProb[i])-sum) > 1e-5 {
					t.Errorf("row %d of %d, greedy %t: %+v; action %v, value %v", i, n, greedy, a, want, p.Value)
				}
			}
		}
	}
}

// Ensure that draws follow from seed, call and row, and that it is known of which
// policy even the best actions are drawn.
func TestOracleDraws(t *testing.T) {
	c := tiny()
	gaussian := newOracle(t, newSAC(t, policies.NewGaussian(), c), 2)
	particles := newOracle(t, newSAC(t, policies.NewStein(), c), 2)
	obs := make([]float32, 5*obsDim)
	ask := func(seed, call uint64) []float32 {
		a, err := gaussian.Ask(obs, false, seed, call)
		if err != nil {
			t.Fatal(err)
		}
		return a.Action
	}
	first := ask(1, 1)
	if !slices.Equal(first, ask(1, 1)) || slices.Equal(first, ask(2, 1)) || slices.Equal(first, ask(1, 2)) {
		t.Error("draws don't follow from seed and call")
	}
	if slices.Equal(first[:2*actDim], first[2*actDim:4*actDim]) || slices.Equal(first[:actDim], first[actDim:2*actDim]) {
		t.Errorf("equal rows of %v", first)
	}
	for o, want := range map[agents.Oracle]bool{gaussian: false, particles: true} {
		if drawn, err := o.Draws(); err != nil || drawn != want {
			t.Errorf("drawn %t, %v, want %t", drawn, err, want)
		}
	}
}

// Ensure that weights are adopted whole or not at all.
func TestAdopt(t *testing.T) {
	one, two := newSAC(t, policies.NewGaussian(), tiny()), newSAC(t, policies.NewGaussian(), tiny())
	obs := []float32{1, 2, 3}
	other, err := sac.New(tiny().Config, tiny().task(t, policies.NewGaussian(), envbridge.Spec{ID: "test", Copies: 1, ObsDim: obsDim, ActDim: actDim}, 99))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	want, err := other.Act(obs, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := agents.Adopt(one, other.Store()); err != nil {
		t.Fatal(err)
	}
	if got, err := one.Act(obs, true); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	before, err := two.Act(obs, true)
	if err != nil {
		t.Fatal(err)
	}
	before = slices.Clone(before)
	if err := agents.Adopt(two, newSAC(t, known{}, tiny()).Store()); err == nil {
		t.Error("another policy's weights were adopted")
	}
	if after, err := two.Act(obs, true); err != nil || !slices.Equal(after, before) {
		t.Errorf("%v, %v, want %v", after, err, before)
	}
	if o, a, err := tiny().Sizes(two.Store()); err != nil || o != obsDim || a != actDim {
		t.Errorf("%d, %d, %v", o, a, err)
	}
}

// Ensure that particles' best action is one of the draw that the entropy is of, and
// that the value beside it is its own.
func TestOracleChooses(t *testing.T) {
	p := policies.NewStein()
	p.Choice = policies.Choice{By: "argmax"}
	p.Hidden = []int{8}
	c := tiny()
	c.Particles = 4
	s := newSAC(t, p, c)
	o := newOracle(t, s, 2)
	obs := []float32{1, 2, 3, -1, 0, 1}
	better := 0
	for call := range uint64(10) {
		drawn, err := o.Ask(obs, false, 1, call)
		if err != nil {
			t.Fatal(err)
		}
		best, err := o.Ask(obs, true, 1, call)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(drawn.Entropy, best.Entropy) || len(best.LogProb) != 0 || len(drawn.LogProb) != 2 {
			t.Errorf("drawn %+v, best %+v", drawn, best)
		}
		for i := range 2 {
			if best.Value[i] < drawn.Value[i] {
				t.Errorf("row %d: the best of four is worth %g, one of them %g", i, best.Value[i], drawn.Value[i])
			}
			if best.Value[i] > drawn.Value[i] {
				better++
			}
			for _, a := range []agents.Answer{drawn, best} {
				q, err := s.Portrait(obs[i*obsDim:(i+1)*obsDim], 1, a.Action[i*actDim:(i+1)*actDim])
				if err != nil {
					t.Fatal(err)
				}
				if math.Abs(float64(a.Value[i]-q.Value[0])) > 1e-5 {
					t.Errorf("row %d: value %g, want %g", i, a.Value[i], q.Value[0])
				}
			}
		}
	}
	if better == 0 {
		t.Error("every draw was the best one")
	}
}
