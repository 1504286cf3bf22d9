package sampler_test

import (
	"strings"
	"testing"

	"github.com/stein-rl/stein/sampler"
)

// Ensure that what makes no sense is named before anything is built.
func TestConfigValidate(t *testing.T) {
	hessian := sampler.TraceConfig{Hessian: true}
	for name, c := range map[string]struct {
		config sampler.Config
		m, d   int
		want   string // in the error; empty: none
	}{
		"zero":                  {sampler.Config{}, 10, 6, ""},
		"met":                   {sampler.Config{Steps: 3, Trace: hessian, Bound: sampler.BoundConfig{Kind: "spectral"}, Control: "mh"}, 10, 6, ""},
		"unknown kernel":        {sampler.Config{Kernel: "rfb"}, 10, 6, `kernel "rfb", want one of imq, rbf`},
		"one's own kernel":      {sampler.Config{Kernel: "mine", Kernels: map[string]sampler.Kernel{"mine": sampler.IMQ{}}}, 10, 6, ""},
		"L_c without a density": {sampler.Config{Density: "none", StopBelow: 0.1}, 10, 6, "stop_below needs a density"},
		"L_c with Langevin":     {sampler.Config{Algorithm: "ula", StopBelow: 0.1}, 10, 6, "stop_below needs a density"},
		"one particle":          {sampler.Config{}, 1, 6, "divides by M − 1"},
		"one particle, Hessian": {sampler.Config{Trace: hessian}, 1, 6, ""},
		"exact, many D":         {sampler.Config{Density: "exact", Trace: hessian}, 10, 3072, "at most 32"},
		"greedy truncation":     {sampler.Config{Control: "truncation", Greedy: &sampler.ScheduleConfig{}}, 10, 6, "greedy needs control mh"},
		"mh without a density":  {sampler.Config{Density: "none", Control: "mh"}, 10, 6, "control mh needs a density"},
		"min above max":         {sampler.Config{Bandwidth: sampler.ScaleConfig{Kind: "learned", Min: 2, Max: 1}}, 10, 6, "want numbers ≥ 0, and min ≤ max"},
		"ε of each dimension":   {sampler.Config{StepSize: sampler.ScaleConfig{Kind: "learned", PerDimension: true}}, 10, 6, "per_dimension is for the bandwidth"},
	} {
		err := c.config.Validate(c.m, c.d)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
	}
}

// Ensure that all faults come in one error.
func TestConfigValidateCollects(t *testing.T) {
	err := sampler.Config{Kernel: "x", Control: "y"}.Validate(10, 6)
	if err == nil || !strings.Contains(err.Error(), "kernel") || !strings.Contains(err.Error(), "control") {
		t.Errorf("error %v, want both kernel and control", err)
	}
}
