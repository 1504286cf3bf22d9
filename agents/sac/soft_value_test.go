package sac_test

import (
	"math"
	"testing"

	"github.com/stein-rl/stein/policies"
)

// Ensure that the soft value of a state is Q − α·log π of its living particle: of known,
// log π is the sum of the action.
func TestSoftValues(t *testing.T) {
	s := newSAC(t, known{}, tiny())
	v, err := s.SoftValues("particles", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	obs := make([]float32, 3*obsDim)
	for i := range obs {
		obs[i] = float32(i%5)/3 - 0.6
	}
	got, err := v.Of(obs, 1)
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	actions, err := s.Act(obs, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range got {
		action := actions[i*actDim : (i+1)*actDim]
		p, err := s.Portrait(obs[i*obsDim:(i+1)*obsDim], 1, action)
		if err != nil {
			t.Fatal(err)
		}
		if want := float64(p.Value[0]) - p.Alpha*float64(action[0]+action[1]); math.Abs(float64(x)-want) > 1e-5 {
			t.Errorf("state %d: %g, want %g", i, x, want)
		}
	}
	if _, err := v.Of(obs[1:], 1); err == nil {
		t.Error("a state that is cut off was taken")
	}
}

// Ensure that the start's soft value does not depend on the particles' steps, and that
// no other policy has one.
func TestSoftValuesOfStart(t *testing.T) {
	obs := make([]float32, obsDim)
	of := func(stepSize float64) float32 {
		policy := policies.NewStein()
		policy.Sampler.StepSize.Value = stepSize
		v, err := newSAC(t, policy, tiny()).SoftValues("start", 2)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		got, err := v.Of(obs, 1)
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	if a, b := of(0.01), of(0.1); a != b {
		t.Errorf("%g with small steps, %g with large ones", a, b)
	}
	if _, err := newSAC(t, policies.NewGaussian(), tiny()).SoftValues("start", 2); err == nil {
		t.Error("a Gaussian has a start")
	}
}
