package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/internal/picture"
	"github.com/stein-rl/stein/sampler/known"
)

// sampleFlags are the flags of `stein sample`.
type sampleFlags struct {
	cfg       known.Config
	target    string
	dim       int
	plot, gif string
	json      bool
	backend   string
}

func newSampleCmd() *cobra.Command {
	var f sampleFlags
	cmd := &cobra.Command{
		Use:   "sample",
		Short: "Run a sampler on a density with known entropy",
		Long: `Runs a sampler on a known density and compares the entropy that it computes with the
true one.

Targets:  gaussian, gaussian-full, gmm2, gmm4, ring, box
Samplers: svgd       median bandwidth, fixed step size, density with the Hessian trace
          p-svgd     the same without the Hessian trace
          met-svgd   bandwidth and step size learned (--fit), step size bounded, Hessian trace
          met-mh     met-svgd with Metropolis-Hastings
          ula, mala  Langevin; no density, so no entropy`,
		Example: `  stein sample --target gmm2 --sampler met-svgd --steps 100 --particles 64 --plot out.png
  stein sample --target gaussian-full --sampler p-svgd --systems 32 --json
  stein sample --target ring --sampler mala --steps 200 --gif ring.gif`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.OutOrStdout(), cmd.ErrOrStderr()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.target, "target", "gmm2", "the density to sample from")
	flags.IntVar(&f.dim, "dim", 2, "dimensions of the target (gaussian, gmm2, gmm4, box)")
	flags.StringVar(&f.cfg.Sampler, "sampler", "met-svgd", "sampler")
	flags.IntVar(&f.cfg.Particles, "particles", 64, "number of particles per system")
	flags.IntVar(&f.cfg.Systems, "systems", 16, "number of independent systems to average over")
	flags.IntVar(&f.cfg.Steps, "steps", 20, "number of sampler steps")
	flags.Uint64Var(&f.cfg.Seed, "seed", 0, "seed of all random numbers")
	flags.IntVar(&f.cfg.Fit, "fit", 100, "met-svgd, met-mh: iterations that fit kernel width and step")
	flags.Float64Var(&f.cfg.FitRate, "fit-rate", 0, "Adam's learning rate on their logarithms (0: 0.05)")
	flags.BoolVar(&f.cfg.EachStep, "each-step", false, "met-svgd, met-mh: fit a kernel width and a step size for each step")
	flags.Float64Var(&f.cfg.InitialStd, "initial-std", 2, "standard deviation of the initial positions")
	flags.Float64Var(&f.cfg.StepSize, "step-size", 0, "step size, or its initial value if it is fitted (0: the sampler's default)")
	flags.Float64Var(&f.cfg.Bandwidth, "bandwidth", 0, "kernel width, or its initial value if it is fitted (0: the sampler's default)")
	flags.BoolVar(&f.cfg.SelfTerm, "self-term", false, "include a particle's kernel with itself in the density, as the PyTorch package does")
	flags.BoolVar(&f.cfg.ExactDensity, "exact-density", false, "log|det(I + εJ)| instead of the first-order εTr J (few dimensions)")
	flags.StringVar(&f.plot, "plot", "", "write a PNG of the density and one system's particles")
	flags.StringVar(&f.gif, "gif", "", "write an animated GIF of the particles' trajectories")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	flags.StringVar(&f.backend, "backend", "", "numeric backend (default: see `stein doctor`)")
	return cmd
}

func (f *sampleFlags) run(stdout, stderr io.Writer) error {
	density, err := known.NewDensity(f.target, f.dim)
	if err != nil {
		return usageError{err}
	}
	f.cfg.Density = density
	f.cfg.Path = f.gif != ""
	if err := f.cfg.Check(); err != nil {
		return usageError{err}
	}
	if (f.plot != "" || f.gif != "") && density.Dim < 2 {
		return usageError{fmt.Errorf("sample: cannot plot a density of %d dimension: want at least 2", density.Dim)}
	}
	backend, choice, err := engine.Open(f.backend)
	if err != nil {
		return err
	}
	if w := choice.Warning(); w != "" {
		fmt.Fprintln(stderr, w)
	}
	result, err := known.Run(backend, f.cfg)
	if err != nil {
		return err
	}
	if err := f.pictures(result); err != nil {
		return err
	}
	report := newSampleReport(result)
	if f.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(report)
	}
	return report.print(stdout)
}

// pictures writes the requested images.
func (f *sampleFlags) pictures(r known.Result) error {
	scene := known.Scene(r.Config.Density)
	scene.Title = r.Config.Density.Name + ", " + r.Config.Sampler
	if f.plot != "" {
		end := known.Frame(r.Config.Density.Dim, r.X[:r.Config.Particles*r.Config.Density.Dim])
		end.Note = fmt.Sprintf("%d particles after %d steps", r.Config.Particles, r.Config.Steps)
		if err := picture.Save(f.plot, func(w io.Writer) error { return scene.WritePNG(w, end) }); err != nil {
			return err
		}
	}
	if f.gif == "" {
		return nil
	}
	const most = 100 // frames: every step up to here, then evenly spaced
	var frames []picture.Frame
	last := len(r.Path) - 1
	for i := range min(last, most) + 1 {
		step := i
		if last > most {
			step = i * last / most
		}
		frame := known.Frame(r.Config.Density.Dim, r.Path[step])
		frame.Note = fmt.Sprintf("step %d", step)
		frames = append(frames, frame)
	}
	return picture.Save(f.gif, func(w io.Writer) error { return scene.WriteGIF(w, frames, 8) })
}

// A sampleReport is the result of the command. Missing numbers are null.
type sampleReport struct {
	Target          string   `json:"target"`
	Dim             int      `json:"dim"`
	Sampler         string   `json:"sampler"`
	Systems         int      `json:"systems"`
	Particles       int      `json:"particles"`
	Steps           int      `json:"steps"`
	Seed            uint64   `json:"seed"`
	Entropy         *float64 `json:"entropy"`
	EntropyStderr   *float64 `json:"entropy_stderr"`
	ExactEntropy    float64  `json:"exact_entropy"`
	EntropyError    *float64 `json:"entropy_error"` // mean |error| of the systems' estimates
	MeanError       float64  `json:"mean_error"`
	CovarianceError float64  `json:"covariance_error"` // relative
	EffectiveShare  *float64 `json:"effective_share"`
	Accepted        *float64 `json:"accepted"`
	StepSize        float64  `json:"step_size"`
	Bandwidth       *float64 `json:"bandwidth"`
	FitSeconds      float64  `json:"fit_seconds"`
	Seconds         float64  `json:"seconds"`
}

func newSampleReport(r known.Result) sampleReport {
	entropy, stderr := r.Entropy()
	wrong, _ := r.EntropyError()
	mean, cov := r.MomentErrors()
	c := r.Config
	return sampleReport{
		Target: c.Density.Name, Dim: c.Density.Dim, Sampler: c.Sampler,
		Systems: c.Systems, Particles: c.Particles, Steps: c.Steps, Seed: c.Seed,
		Entropy: finite(entropy), EntropyStderr: finite(stderr), ExactEntropy: c.Density.Entropy, EntropyError: finite(wrong),
		MeanError: mean, CovarianceError: cov,
		EffectiveShare: finite(r.EffectiveShare()), Accepted: finite(r.Accepted),
		StepSize: r.StepSize, Bandwidth: finite(r.Bandwidth),
		FitSeconds: r.FitTime.Seconds(), Seconds: r.Time.Seconds(),
	}
}

// finite is nil for NaN, which JSON lacks.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

func (s sampleReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, x *float64, rest string) {
		value := "none"
		if x != nil {
			value = fmt.Sprintf(format, *x)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", name, value, rest)
	}
	fmt.Fprintf(t, "target\t%s\t%d dimensions\n", s.Target, s.Dim)
	fmt.Fprintf(t, "sampler\t%s\t%d systems of %d particles, %d steps, seed %d\n", s.Sampler, s.Systems, s.Particles, s.Steps, s.Seed)
	about := "nats, mean over systems"
	if s.EntropyStderr != nil {
		about += fmt.Sprintf(", standard error %.3g", *s.EntropyStderr)
	}
	if s.Entropy == nil {
		about = "this sampler has no density"
	}
	row("entropy", "%.4f", s.Entropy, about)
	row("exact entropy", "%.4f", &s.ExactEntropy, "nats")
	row("entropy error", "%.4f", s.EntropyError, "mean over systems of |estimate - exact|")
	row("mean error", "%.4f", &s.MeanError, "distance, all particles")
	row("covariance error", "%.4f", &s.CovarianceError, "relative to the target's (Frobenius)")
	row("effective share", "%.3f", s.EffectiveShare, "of the particles, by the weights p/q")
	row("accepted", "%.3f", s.Accepted, "share of proposals")
	row("step size", "%.4g", &s.StepSize, "mean")
	row("bandwidth", "%.4g", s.Bandwidth, "mean")
	fmt.Fprintf(t, "time\t%v\tplus %v of fitting\n", seconds(s.Seconds), seconds(s.FitSeconds))
	return t.Flush()
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Microsecond)
}
