// Command entropy measures how well samplers know the entropy of what they draw, on
// densities whose entropy is known, and writes the table behind docs/results/entropy.md.
//
//	go run ./bench/entropy -out docs/results
package main

import (
	"encoding/csv"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/sampling"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "entropy:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("entropy", flag.ContinueOnError)
	out := f.String("out", ".", "folder that entropy.csv and entropy.png are written to")
	backendName := f.String("backend", "", "numeric backend")
	threads := f.Int("threads", 0, "threads (0: all)")
	only := f.String("only", "", "one part of the study: "+partNames())
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := engine.SetThreads(*threads); err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	backend, _, err := engine.Open(*backendName)
	if err != nil {
		return err
	}
	var rows []row
	for _, part := range parts {
		if *only != "" && part.name != *only {
			continue
		}
		for _, c := range part.cells() {
			r, err := measure(backend, part.name, c)
			if err != nil {
				return err
			}
			fmt.Println(r)
			rows = append(rows, r)
			if err := writeCSV(filepath.Join(*out, "entropy.csv"), rows); err != nil {
				return err
			}
		}
	}
	if *only != "" {
		return nil
	}
	return paint(filepath.Join(*out, "entropy.png"), rows)
}

// A row is one cell of the study, measured.
type row struct {
	part  string
	label string
	r     sampling.Result
	// floor is the mean |error| of perfect samples with their true log density: M
	// particles cannot do better than by luck.
	floor    float64
	squashed float64 // box: the entropy after the tanh, at most D ln 2; else NaN
	took     time.Duration
}

func measure(backend compute.Backend, part string, c cell) (row, error) {
	start := time.Now()
	d, err := sampling.NewDensity(c.target, c.dim)
	if err != nil {
		return row{}, err
	}
	c.Density, c.InitialStd = d, initialStd
	r, err := sampling.Run(backend, c.Config)
	if err != nil {
		return row{}, fmt.Errorf("%s, %s %d, M = %d, L = %d: %w", c.label, c.target, c.dim, c.Particles, c.Steps, err)
	}
	out := row{part: part, label: c.label, r: r, floor: floor(d, c.Particles), squashed: math.NaN()}
	if c.target == "box" {
		h, _ := r.Entropy()
		out.squashed = h
		n := len(r.X) / d.Dim
		for i := range n {
			out.squashed += sampling.LogSlope(r.X[i*d.Dim:(i+1)*d.Dim]) / float64(n)
		}
	}
	out.took = time.Since(start)
	return out, nil
}

// floor is the mean |error| of −mean log p over m exact samples.
func floor(d sampling.Density, m int) float64 {
	const systems = 400
	rng := rand.New(rand.NewPCG(5, 6))
	x := make([]float64, d.Dim)
	var sum float64
	for range systems {
		var h float64
		for range m {
			d.Draw(rng, x)
			h -= d.LogDensity(x) / float64(m)
		}
		sum += math.Abs(h - d.Entropy)
	}
	return sum / systems
}

var header = []string{"part", "target", "D", "M", "L", "sampler", "self_term", "density", "systems", "fit",
	"entropy", "entropy_stderr", "exact", "mean_abs_error", "mean_abs_error_stderr", "floor", "bias",
	"squashed_entropy", "squashed_limit", "mean_error", "cov_error", "effective_share", "step_size", "bandwidth"}

func (w row) fields() []string {
	c := w.r.Config
	h, hErr := w.r.Entropy()
	mae, maeErr := w.r.EntropyError()
	mean, cov := w.r.MomentErrors()
	selfTerm, density := "exact", "first-order"
	if c.SelfTerm {
		selfTerm = "reference"
	}
	if c.ExactDensity {
		density = "exact"
	}
	limit := math.NaN()
	if !math.IsNaN(w.squashed) {
		limit = float64(c.Density.Dim) * math.Ln2
	}
	fit := c.Fit
	if c.Sampler != "met-svgd" {
		fit = 0
	}
	out := []string{w.part, c.Density.Name, strconv.Itoa(c.Density.Dim), strconv.Itoa(c.Particles), strconv.Itoa(c.Steps), w.label,
		selfTerm, density, strconv.Itoa(c.Systems), strconv.Itoa(fit)}
	for _, x := range []float64{h, hErr, c.Density.Entropy, mae, maeErr, w.floor, h - c.Density.Entropy,
		w.squashed, limit, mean, cov, w.r.EffectiveShare(), w.r.StepSize, w.r.Bandwidth} {
		if math.IsNaN(x) {
			out = append(out, "")
		} else {
			out = append(out, strconv.FormatFloat(x, 'g', 5, 64))
		}
	}
	return out
}

// String is a row of the Markdown tables.
func (w row) String() string {
	c := w.r.Config
	mae, maeErr := w.r.EntropyError()
	h, hErr := w.r.Entropy()
	_, cov := w.r.MomentErrors()
	s := fmt.Sprintf("| %s | %d | %d | %d | %s | %.3f ± %.3f | %.3f | %+.3f ± %.3f | %.3f | %.3g | %.3g |", c.Density.Name, c.Density.Dim,
		c.Particles, c.Steps, w.label, mae, maeErr, w.floor, h-c.Density.Entropy, hErr, cov, w.r.StepSize, w.r.Bandwidth)
	if !math.IsNaN(w.squashed) {
		s += fmt.Sprintf(" %.3f ± %.3f of %.3f |", w.squashed, hErr, float64(c.Density.Dim)*math.Ln2)
	}
	return s + fmt.Sprintf(" %.1f s", w.took.Seconds())
}

func writeCSV(path string, rows []row) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := file.Close(); err == nil {
			err = e
		}
	}()
	w := csv.NewWriter(file)
	if err := w.Write(header); err != nil {
		return err
	}
	for _, r := range rows {
		if err := w.Write(r.fields()); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
