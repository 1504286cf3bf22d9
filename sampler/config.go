package sampler

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Config names the parts of a sampler. Zero values are the defaults in brackets.
type Config struct {
	Algorithm string      `yaml:"algorithm"`  // svgd | ula | mala [svgd]
	Steps     int         `yaml:"steps"`      // L, or the most of L_c [3]
	StopBelow float64     `yaml:"stop_below"` // L_c: end below this √|Stein identity| [0: never]
	Kernel    string      `yaml:"kernel"`     // rbf | imq, or one of Kernels [rbf]
	Bandwidth ScaleConfig `yaml:"bandwidth"`  // σ [median]
	StepSize  ScaleConfig `yaml:"step_size"`  // ε [fixed 0.1]
	Bound     BoundConfig `yaml:"bound"`      // on ε [off]
	Density   string      `yaml:"density"`    // first-order | exact | none [first-order]
	Trace     TraceConfig `yaml:"trace"`
	Control   string      `yaml:"control"` // none | truncation | mh | mh-rademacher [none]
	// Greedy switches a control on in a share of the runs that rises over the training.
	Greedy *ScheduleConfig `yaml:"greedy"`
	Detach bool            `yaml:"detach_score"` // no gradient through the score and its derivative [false]

	// Kernels are those that Kernel may name besides Stein's own.
	Kernels map[string]Kernel `yaml:"-"`
}

// RetiredKeys are those of earlier versions, which are read and ignored.
func (*Config) RetiredKeys() []string { return []string{"diagnose"} }

// A ScaleConfig is a bandwidth or a step size. A key that its kind does not have is an
// error in YAML.
type ScaleConfig struct {
	// Kind: fixed | learned | per-step | network; for ε also decaying; for σ also
	// median | mean | half-mean.
	Kind  string  `yaml:"kind" want:"fixed|learned|per-step|network|decaying|median|mean|half-mean"`
	Value float64 `yaml:"value" kinds:"fixed|learned|per-step|network|decaying"` // where it starts, or stays [0: 1 for σ, 0.1 for ε]
	Min   float64 `yaml:"min" kinds:"learned|per-step|network|decaying"`         // lower limit [0: none]
	Max   float64 `yaml:"max" kinds:"learned|per-step|network"`                  // upper limit [0: none]
	// Hidden are the widths of the network's hidden layers [64, 64].
	Hidden       []int   `yaml:"hidden" kinds:"network" default:"[64, 64]" want:"> 0"`
	Rate         float64 `yaml:"rate" kinds:"decaying" default:"0.9"`    // factor of each step [0.9]
	PerDimension bool    `yaml:"per_dimension" kinds:"learned|per-step"` // σ: one for each dimension [false]
}

// A BoundConfig is the bound on ε.
type BoundConfig struct {
	Kind  string  `yaml:"kind"`  // off | spectral | frobenius [off]
	Alpha float64 `yaml:"alpha"` // [0.9]
	Clamp string  `yaml:"clamp"` // hard | leaky [hard]
	// Estimate of Tr JᵀJ: gram, with all terms of A, or probe, ‖Jv‖² [gram].
	Estimate string `yaml:"estimate"`
}

// A TraceConfig is the form of the divergence T.
type TraceConfig struct {
	Hessian  bool   `yaml:"hessian"`   // the trace of the Hessian in it (MET-SVGD) [false]
	SelfTerm string `yaml:"self_term"` // exact | reference [exact]
	Probes   int    `yaml:"probes"`    // V [1]
	Probe    string `yaml:"probe"`     // rademacher | normal | exact [rademacher]
}

// A ScheduleConfig is a Schedule.
type ScheduleConfig struct {
	Start    float64 `yaml:"start"`
	End      float64 `yaml:"end"`
	Duration float64 `yaml:"duration"` // share of the training [1]
	Shape    string  `yaml:"shape"`    // linear | exponential [linear]
}

// exactD is the largest dimension for which the whole Hessian is taken.
const exactD = 32

// Validate names every setting that is unknown, or makes no sense beside another. m
// is the number of particles and d the dimension they will have; 0: not known yet.
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
		fail("step_size: per_dimension is for the bandwidth; every dimension has the same step size")
	}
	hasDensity := c.HasDensity()
	langevin := c.Algorithm == "ula" || c.Algorithm == "mala"
	if c.StopBelow > 0 && !hasDensity {
		fail("stop_below needs a density: the Stein identity has its trace in it")
	}
	if !langevin && c.Bound.Kind != "" && c.Bound.Kind != "off" && !hasDensity {
		fail("bound %s needs a density: it is made of the same trace", c.Bound.Kind)
	}
	if c.Greedy != nil {
		if c.Control != "mh" && c.Control != "mh-rademacher" {
			fail("greedy is a schedule for control mh, not for %q", c.Control)
		}
		oneOf("greedy.shape", c.Greedy.Shape, "linear", "exponential")
		if c.Greedy.Shape == "exponential" && (c.Greedy.Start <= 0 || c.Greedy.End <= 0) {
			fail("greedy: an exponential schedule starts and ends above 0, not at %g and %g", c.Greedy.Start, c.Greedy.End)
		}
	}
	if strings.HasPrefix(c.Control, "mh") && !hasDensity {
		fail("control %s needs a density: T is in its accept test", c.Control)
	}
	if !langevin && hasDensity && !c.Trace.Hessian && m == 1 {
		fail("one particle has no leave-one-out density (it divides by M − 1): take two or more, or trace.hessian")
	}
	if c.exact() && d > exactD {
		fail("an exact trace or determinant in %d dimensions: at most %d", d, exactD)
	}
	if langevin && c.Control != "" && c.Control != "none" {
		fail("%s has its own test; control %s is for svgd", c.Algorithm, c.Control)
	}
	return errors.Join(errs...)
}

func (c Config) exact() bool { return c.Density == "exact" || c.Trace.Probe == "exact" }

// HasDensity says whether the sampler carries log q. A policy needs one that does.
func (c Config) HasDensity() bool {
	return c.Density != "none" && c.Algorithm != "ula" && c.Algorithm != "mala"
}

// kernels are all that Kernel may name.
func (c Config) kernels() map[string]Kernel {
	all := map[string]Kernel{"rbf": RBF{}, "imq": IMQ{}}
	maps.Copy(all, c.Kernels)
	return all
}

// Build makes the sampler and the length of its runs. Validate first.
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

// build makes the scale of a name; start is where it begins if nothing is said.
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
