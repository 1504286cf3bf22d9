// Command entropy measures how accurately samplers estimate the entropy of their
// distribution, on densities with known entropy, and writes the table of
// docs/results/entropy.md.
//
//	go run ./bench/entropy -out docs/results
package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/sampler/known"
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
	table := filepath.Join(*out, "entropy.csv")
	records, err := keep(table, *only)
	if err != nil {
		return err
	}
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
			records = append(records, r.record())
			if err := writeCSV(table, records); err != nil {
				return err
			}
		}
	}
	return paint(filepath.Join(*out, "entropy.png"), records)
}

// keep reads the rows of an earlier table that a run of one part does not replace.
func keep(table, only string) ([]record, error) {
	if only == "" {
		return nil, nil
	}
	if !slices.ContainsFunc(parts, func(p part) bool { return p.name == only }) {
		return nil, fmt.Errorf("unknown part %q, want one of %s", only, partNames())
	}
	file, err := os.Open(table)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", table, err)
	}
	if len(lines) == 0 || !slices.Equal(lines[0], header) {
		return nil, fmt.Errorf("%s: its columns are not those of this program: remove it and run every part", table)
	}
	var kept []record
	for _, l := range lines[1:] {
		if r := record(l); r.at("part") != only {
			kept = append(kept, r)
		}
	}
	return kept, nil
}

// A row is the measurement of one cell.
type row struct {
	part  string
	label string
	r     known.Result
	// floor is the mean |error| of perfect samples with their true log-density: M
	// particles cannot do better except by chance.
	floor    float64
	squashed float64 // box: the entropy after the tanh, at most D ln 2; else NaN
	took     time.Duration
}

func measure(backend compute.Backend, part string, c cell) (row, error) {
	start := time.Now()
	d, err := known.NewDensity(c.target, c.dim)
	if err != nil {
		return row{}, err
	}
	c.Density, c.InitialStd = d, initialStd
	r, err := known.Run(backend, c.Config)
	if err != nil {
		return row{}, fmt.Errorf("%s, %s %d, M = %d, L = %d: %w", c.label, c.target, c.dim, c.Particles, c.Steps, err)
	}
	out := row{part: part, label: c.label, r: r, floor: floor(d, c.Particles), squashed: math.NaN()}
	if c.target == "box" {
		h, _ := r.Entropy()
		out.squashed = h
		n := len(r.X) / d.Dim
		for i := range n {
			out.squashed += known.LogSlope(r.X[i*d.Dim:(i+1)*d.Dim]) / float64(n)
		}
	}
	out.took = time.Since(start)
	return out, nil
}

// floor is the mean |error| of −mean log p over m exact samples.
func floor(d known.Density, m int) float64 {
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

var header = []string{"part", "target", "D", "M", "L", "sampler", "self_term", "density", "systems", "fit", "fit_rate",
	"entropy", "entropy_stderr", "exact", "mean_abs_error", "mean_abs_error_stderr", "floor", "bias",
	"squashed_entropy", "squashed_limit", "mean_error", "cov_error", "effective_share", "step_size", "bandwidth"}

// A record is a line of the table, in the order of header.
type record []string

func (r record) at(column string) string { return r[slices.Index(header, column)] }

func (w row) record() record {
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
	fit, rate := strconv.Itoa(c.Fit), strconv.FormatFloat(cmp.Or(c.FitRate, 0.05), 'g', -1, 64)
	if c.Sampler != "met-svgd" {
		fit, rate = "", ""
	}
	out := record{w.part, c.Density.Name, strconv.Itoa(c.Density.Dim), strconv.Itoa(c.Particles), strconv.Itoa(c.Steps), w.label,
		selfTerm, density, strconv.Itoa(c.Systems), fit, rate}
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

func writeCSV(path string, records []record) (err error) {
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
	for _, r := range records {
		if err := w.Write(r); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
