package sampler

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Config selects the parts of a sampler. Zero values mean the defaults in brackets.
type Config struct {
	Algorithm string      `yaml:"algorithm"`  // svgd | ula | mala [svgd]
	Steps     int         `yaml:"steps"`      // L, or the maximum of L_c [3]
	StopBelow float64     `yaml:"stop_below"` // L_c: stop below this √|Stein identity| [0: never]
	Kernel    string      `yaml:"kernel"`     // rbf | imq, or one of Kernels [rbf]
	Bandwidth ScaleConfig `yaml:"bandwidth"`  // σ [median]
	StepSize  ScaleConfig `yaml:"step_size"`  // ε [fixed 0.1]
	Bound     BoundConfig `yaml:"bound"`      // on ε [off]
	Density   string      `yaml:"density"`    // first-order | exact | none [first-order]
	Trace     TraceConfig `yaml:"trace"`
	Control   string      `yaml:"control"` // none | truncation | mh | mh-rademacher [none]
	// Greedy applies Control in a fraction of the runs that rises over the training.
	Greedy *ScheduleConfig `yaml:"greedy"`
	Detach bool            `yaml:"detach_score"` // no gradient through the score and its derivative [false]

	// Kernels are custom kernels that Kernel may name.
	Kernels map[string]Kernel `yaml:"-"`
}

// RetiredKeys returns the keys of earlier versions, which are accepted and ignored.
func (*Config) RetiredKeys() []string { return []string{"diagnose"} }

// A ScaleConfig configures a bandwidth or a step size. In YAML, keys of another kind are
// errors.
type ScaleConfig struct {
	// Kind: fixed | learned | per-step | network; for ε also decaying; for σ also
	// median | mean | half-mean.
	Kind  string  `yaml:"kind" want:"fixed|learned|per-step|network|decaying|median|mean|half-mean"`
	Value float64 `yaml:"value" kinds:"fixed|learned|per-step|network|decaying"` // value, or initial value [0: 1 for σ, 0.1 for ε]
	Min   float64 `yaml:"min" kinds:"learned|per-step|network|decaying"`         // lower limit [0: none]
	Max   float64 `yaml:"max" kinds:"learned|per-step|network"`                  // upper limit [0: none]
	// Hidden are the widths of the network's hidden layers [64, 64].
	Hidden       []int   `yaml:"hidden" kinds:"network" default:"[64, 64]" want:"> 0, <= 16384"`
	Rate         float64 `yaml:"rate" kinds:"decaying" default:"0.9"`    // factor of each step [0.9]
	PerDimension bool    `yaml:"per_dimension" kinds:"learned|per-step"` // σ: one per dimension [false]
}

// A BoundConfig configures the bound on ε. In YAML, kind off has no other keys.
type BoundConfig struct {
	Kind  string  `yaml:"kind" want:"off|spectral|frobenius"`              // [off]
	Alpha float64 `yaml:"alpha" kinds:"spectral|frobenius" default:"0.9"`  // [0.9]
	Clamp string  `yaml:"clamp" kinds:"spectral|frobenius" default:"hard"` // hard | leaky [hard]
	// Estimate of Tr JᵀJ: gram, with all terms of A, or probe, ‖Jv‖² [gram].
	Estimate string `yaml:"estimate" kinds:"spectral|frobenius"`
}

// A TraceConfig configures the divergence T.
type TraceConfig struct {
	Hessian  bool   `yaml:"hessian"`   // include the trace of the Hessian (MET-SVGD) [false]
	SelfTerm string `yaml:"self_term"` // exact | reference [exact]
	Probes   int    `yaml:"probes"`    // V [1]
	Probe    string `yaml:"probe"`     // rademacher | normal | exact [rademacher]
}

// A ScheduleConfig configures a Schedule.
type ScheduleConfig struct {
	Start    float64 `yaml:"start"`
	End      float64 `yaml:"end"`
	Duration float64 `yaml:"duration"` // fraction of the training [1]
	Shape    string  `yaml:"shape"`    // linear | exponential [linear]
}

// exactD is the largest dimension in which the full Hessian is computed.
const exactD = 32

// Validate reports every unknown setting and every invalid combination. m is the number of
// particles and d their dimension; 0: not known yet.
func (c Config) Validate(m, d int) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("sampler: "+format, args...)) }
	oneOf := func(key, value string, allowed ...string) {
		if value != "" && !slices.Contains(allowed, value) {
			fail("%s %q, want one of %s", key, value, strings.Join(allowed, ", "))
		}
	}
	oneOf("algorithm", c.Algorithm, "svgd", "ula", "mala")
	oneOf("kernel", c.Kernel, slices.Sorted(maps.Keys(c.kernels()))...)
	oneOf("bandwidth.kind", c.Bandwidth.Kind, "fixed", "learned", "per-step", "network", "median", "mean", "half-mean")
	oneOf("step_size.kind", c.StepSize.Kind, "fixed", "learned", "per-step", "network", "decaying")
	oneOf("bound.kind", c.Bound.Kind, "off", "spectral", "frobenius")
	oneOf("bound.clamp", c.Bound.Clamp, "hard", "leaky")
	oneOf("bound.estimate", c.Bound.Estimate, "gram", "probe")
	oneOf("density", c.Density, "first-order", "exact", "none")
	oneOf("trace.self_term", c.Trace.SelfTerm, "exact", "reference")
	oneOf("trace.probe", c.Trace.Probe, "rademacher", "normal", "exact")
	oneOf("control", c.Control, "none", "truncation", "mh", "mh-rademacher")
	if c.Steps < 0 {
		fail("steps %d, want at least 0", c.Steps)
	}
	for key, s := range map[string]ScaleConfig{"bandwidth": c.Bandwidth, "step_size": c.StepSize} {
		if s.Value < 0 || s.Min < 0 || s.Max < 0 || (s.Max > 0 && s.Min > s.Max) {
			fail("%s: value %g, min %g, max %g: want numbers ≥ 0, and min ≤ max", key, s.Value, s.Min, s.Max)
		}
	}
	if c.StepSize.PerDimension {
		fail("step_size: per_dimension is for the bandwidth only")
	}
	hasDensity := c.HasDensity()
	langevin := c.Algorithm == "ula" || c.Algorithm == "mala"
	if c.StopBelow > 0 && !hasDensity {
		fail("stop_below needs a density: the Stein identity uses its trace")
	}
	if !langevin && c.Bound.Kind != "" && c.Bound.Kind != "off" && !hasDensity {
		fail("bound %s needs a density: it uses the same trace", c.Bound.Kind)
	}
	if c.Greedy != nil {
		if c.Control != "mh" && c.Control != "mh-rademacher" {
			fail("greedy needs control mh or mh-rademacher, not %q", c.Control)
		}
		oneOf("greedy.shape", c.Greedy.Shape, "linear", "exponential")
		if c.Greedy.Shape == "exponential" && (c.Greedy.Start <= 0 || c.Greedy.End <= 0) {
			fail("greedy: exponential schedule from %g to %g: want both above 0", c.Greedy.Start, c.Greedy.End)
		}
	}
	if strings.HasPrefix(c.Control, "mh") && !hasDensity {
		fail("control %s needs a density: its accept test uses T", c.Control)
	}
	if !langevin && hasDensity && !c.Trace.Hessian && m == 1 {
		fail("one particle has no leave-one-out density (it divides by M − 1): use two or more, or trace.hessian")
	}
	if c.exact() && d > exactD {
		fail("exact trace or determinant in %d dimensions: want at most %d", d, exactD)
	}
	if langevin && c.Control != "" && c.Control != "none" {
		fail("control %s is for svgd, not for %s", c.Control, c.Algorithm)
	}
	return errors.Join(errs...)
}

func (c Config) exact() bool { return c.Density == "exact" || c.Trace.Probe == "exact" }

// HasDensity reports whether the sampler computes log q, which a policy needs.
func (c Config) HasDensity() bool {
	return c.Density != "none" && c.Algorithm != "ula" && c.Algorithm != "mala"
}

// kernels returns all kernels that Kernel may name.
func (c Config) kernels() map[string]Kernel {
	all := map[string]Kernel{"rbf": RBF{}, "imq": IMQ{}}
	maps.Copy(all, c.Kernels)
	return all
}

// Build returns the sampler and its number of steps. Call Validate first.
func (c Config) Build() (Sampler, Steps) {
	steps := Steps{Max: c.Steps, StopBelow: c.StopBelow}
	epsilon := c.StepSize.build("epsilon", 0.1, Fixed(0.1))
	switch c.Algorithm {
	case "ula":
		return ULA{StepSize: epsilon}, steps
	case "mala":
		return MALA{StepSize: epsilon}, steps
	}
	v := SVGD{
		Kernel: c.kernels()[cmp.Or(c.Kernel, "rbf")], Bandwidth: c.Bandwidth.build("sigma", 1, Median{}), StepSize: epsilon,
		Bound: Bound{Alpha: c.Bound.Alpha, Leaky: c.Bound.Clamp == "leaky", Probe: c.Bound.Estimate == "probe"},
		Trace: Divergence{
			HessianTrace: c.Trace.Hessian, SelfTerm: c.Trace.SelfTerm == "reference",
			Probes: c.Trace.Probes, Normal: c.Trace.Probe == "normal", Exact: c.Trace.Probe == "exact",
		},
		Detach: c.Detach,
	}
	v.Bound.Kind = map[string]BoundKind{"spectral": Spectral, "frobenius": Frobenius}[c.Bound.Kind]
	v.Density = map[string]Density{"exact": ExactLogDet, "none": NoDensity}[c.Density]
	switch c.Control {
	case "truncation":
		v.Control = Truncation{}
	case "mh":
		v.Control = MetropolisHastings{}
	case "mh-rademacher":
		v.Control = MetropolisHastings{Rademacher: true}
	}
	if g := c.Greedy; g != nil {
		v.Control = Sometimes{Of: v.Control, Share: Schedule{
			Start: g.Start, End: g.End, Duration: g.Duration, Exponential: g.Shape == "exponential",
		}}
	}
	return v, steps
}

// build returns the scale with this name; start is the default initial value, unset the
// default scale.
func (s ScaleConfig) build(name string, start float64, unset Scale) Scale {
	if s.Value > 0 {
		start = s.Value
	}
	switch s.Kind {
	case "fixed":
		return Fixed(start)
	case "decaying":
		rate := s.Rate
		if rate == 0 {
			rate = 0.9
		}
		return Decaying{From: start, Rate: rate, Floor: s.Min}
	case "learned", "per-step":
		return Learned{
			Name: "log_" + name, Init: start, Min: s.Min, Max: s.Max,
			EachStep: s.Kind == "per-step", EachDimension: s.PerDimension,
		}
	case "network":
		hidden := s.Hidden
		if hidden == nil {
			hidden = []int{64, 64}
		}
		return Network{Name: name, Init: start, Hidden: hidden, Min: s.Min, Max: s.Max}
	case "mean":
		return Mean{}
	case "half-mean":
		return Mean{Factor: 0.5}
	case "median":
		return Median{}
	}
	return unset
}
