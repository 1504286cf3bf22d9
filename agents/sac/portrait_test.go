package sac_test

import (
	"math"
	"testing"

	"github.com/stein-rl/stein/agents/sac"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/enginetest"
)

// Ensure that a portrait's draws have the density that they are said to have: for a ~ p,
// the mean of 1/p(a) over a part of the line is that part's length.
func TestPortrait(t *testing.T) {
	cfg := small()
	cfg.Particles, cfg.Alpha = 10, 0.3
	spec := envbridge.Spec{ID: "made-up", Copies: 1, ObsDim: 2, ActDim: 1}
	s, err := sac.New(cfg.Config, agents.Task{Backend: enginetest.PureGo(t), Spec: spec, Policy: gaussian(16), Seed: 3, Use: agents.ToAct})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	obs, grid := []float32{0.5, -1}, []float32{-0.9, 0, 0.9}
	p, err := s.Portrait(obs, 2000, grid)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Actions) != 20_000 || len(p.LogProb) != 20_000 || len(p.Value) != len(grid) || math.Abs(p.Alpha-0.3) > 1e-6 {
		t.Fatalf("%d actions, %d log-probabilities, %d values, α %g", len(p.Actions), len(p.LogProb), len(p.Value), p.Alpha)
	}
	if p.Value[0] == p.Value[2] {
		t.Errorf("the same value %g at both ends", p.Value[0])
	}
	const bins = 10
	var width [bins]float64
	for i, a := range p.Actions {
		width[min(bins-1, int((float64(a)+1)/2*bins))] += math.Exp(-float64(p.LogProb[i])) / float64(len(p.Actions))
	}
	for b, got := range width {
		if want := 2.0 / bins; math.Abs(got-want) > 0.1*want {
			t.Errorf("bin %d is %.4f wide, by the density of the draws in it; want %.4f", b, got, want)
		}
	}
	if _, err := s.Portrait(obs[:1], 1, grid); err == nil {
		t.Error("no error for an observation of another size")
	}
}
