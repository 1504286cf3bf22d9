package experiments

import (
	"math"
	"testing"
)

// Ensure that AUROC is the share of pairs in the right order, ties counting half.
func TestAUROC(t *testing.T) {
	for name, c := range map[string]struct {
		first, second []float64
		want          float64
	}{
		"all apart":     {[]float64{3, 4}, []float64{1, 2}, 1},
		"the other way": {[]float64{1}, []float64{2, 3}, 0},
		"mixed":         {[]float64{1, 3}, []float64{2}, 0.5},
		"ties":          {[]float64{1, 1, 2}, []float64{1, 0}, (0.5 + 1 + 0.5 + 1 + 2) / 6},
	} {
		if got := AUROC(c.first, c.second); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %g, want %g", name, got, c.want)
		}
	}
}

// Ensure that each mask leaves the part that its name does not say.
func TestDamageKnown(t *testing.T) {
	for mask, want := range map[string]string{
		"left": "..##..##..##..##", "right": "##..##..##..##..", "top": "........########",
		"bottom": "########........", "middle": "#####..##..#####", "none": "################",
	} {
		known, err := Damage{Mask: mask}.Known(4, 4, 1)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, k := range known {
			got += map[bool]string{true: "#", false: "."}[k]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", mask, got, want)
		}
	}
	if _, err := (Damage{Mask: "half"}).Known(4, 4, 1); err == nil {
		t.Error("mask half is known")
	}
}
