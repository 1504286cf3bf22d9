package envbridge

import (
	"fmt"
	"math"
	"testing"
)

// Ensure that bounds which say nothing are unknown, and that those which can't be are
// refused: export and clients scale actions by them.
func TestBoundsOf(t *testing.T) {
	if b, err := boundsOf(nil, nil, 2); b != nil || err != nil {
		t.Errorf("%v, %v: a worker may send none", b, err)
	}
	if b, err := boundsOf([]float64{-1, 0}, []float64{3, 0}, 2); err != nil || b.High[0] != 3 {
		t.Errorf("%v, %v", b, err)
	}
	for name, c := range map[string][2][]float64{
		"too few":       {{-1}, {1}},
		"lower only":    {{-1, -1}, nil},
		"turned around": {{-1, 1}, {1, 0}},
		"not a number":  {{-1, math.NaN()}, {1, 1}},
		"infinite":      {{-1, -1}, {1, math.Inf(1)}},
	} {
		if b, err := boundsOf(c[0], c[1], 2); err == nil {
			t.Errorf("%s: taken, %v", name, b)
		}
	}
}

// Ensure that two specs differ where any of their parts does.
func TestSpecEqual(t *testing.T) {
	spec := func() Spec {
		return Spec{ID: "x", Copies: 1, ObsDim: 4, ActDim: 1, MaxSteps: 9, FPS: 30, ObsShape: []int{2, 2}, ActShape: []int{1},
			Bounds: &Bounds{[]float64{0}, []float64{1}}}
	}
	if !spec().Equal(spec()) {
		t.Error("a spec differs from itself")
	}
	for name, change := range map[string]func(*Spec){
		"id": func(s *Spec) { s.ID = "y" }, "copies": func(s *Spec) { s.Copies++ }, "observation": func(s *Spec) { s.ObsDim++ },
		"action": func(s *Spec) { s.ActDim++ }, "limit": func(s *Spec) { s.MaxSteps++ }, "pace": func(s *Spec) { s.FPS++ },
		"shape": func(s *Spec) { s.ObsShape = []int{4, 1} }, "action's shape": func(s *Spec) { s.ActShape = []int{1, 1} },
		"low": func(s *Spec) { s.Bounds.Low[0]-- }, "high": func(s *Spec) { s.Bounds.High[0]++ }, "no bounds": func(s *Spec) { s.Bounds = nil },
	} {
		other := spec()
		change(&other)
		if spec().Equal(other) || other.Equal(spec()) {
			t.Errorf("another %s makes no difference", name)
		}
	}
}

// Ensure that a message about a spec has its bounds, and no addresses.
func TestSpecString(t *testing.T) {
	spec := Spec{ID: "x", Copies: 2, ObsShape: []int{3}, ActShape: []int{1}, MaxSteps: 9, FPS: 30, Bounds: &Bounds{[]float64{0}, []float64{1}}}
	want := "2 copies of x, observations of shape [3], actions of shape [1] from [0] to [1], 9 steps per episode, 30 frames/s"
	if got := fmt.Sprintf("%s, %+v", spec, spec); got != want+", "+want {
		t.Error(got)
	}
}
