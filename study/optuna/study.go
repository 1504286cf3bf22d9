package optuna

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/driver"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/study"
)

// Options of a Study.
type Options struct {
	Plan
	Catalog experiments.Catalog
	Dir     string // folder of the sweep
	Trials  int    // total number of settings to try
	Storage string // Optuna storage URL; empty: an SQLite file in Dir
	Sampler string
	Pruner  string

	SamplerOptions, PrunerOptions map[string]any // keyword arguments
	Python                        string
	Log                           io.Writer
}

// A Study is a Source of trials. Optuna proposes settings, each is run with every seed,
// and its value is the mean over the seeds.
type Study struct {
	Options
	driver *driver.Driver

	mu     sync.Mutex
	asked  int
	begun  []*candidate // candidates with seeds left to run
	byName map[string]*candidate
}

var _ study.Source = (*Study)(nil)

// A candidate is one set of settings.
type candidate struct {
	number   int
	sets     []string
	seeds    []uint64 // not yet run
	trials   []string // started
	running  int
	reported float64 // step
	pruned   bool
	failed   bool
}

// Open creates the study, or continues the one in the storage.
func Open(ctx context.Context, o Options) (*Study, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("tune: %w", err)
	}
	d, err := driver.Start("study", o.Python, o.Log)
	if err != nil {
		return nil, fmt.Errorf("tune: %w", err)
	}
	s := &Study{Options: o, driver: d, byName: map[string]*candidate{}}
	var state struct {
		Asked   int
		Running []asked
	}
	err = s.call(ctx, "open", map[string]any{
		"storage": o.Storage, "file": filepath.Join(dir, "study.db"), "name": filepath.Base(dir), "maximize": !o.Minimize, "space": o.Space.forOptuna(),
		"sampler": o.Sampler, "sampler_options": o.SamplerOptions, "pruner": o.Pruner, "pruner_options": o.PrunerOptions,
	}, &state)
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	s.asked = state.Asked
	for _, a := range state.Running {
		c, err := s.candidate(a)
		if err != nil {
			_ = d.Close()
			return nil, err
		}
		s.begun = append(s.begun, c)
	}
	return s, nil
}

// Close ends the driver; the study stays in its storage.
func (s *Study) Close() error { return s.driver.Close() }

func (s *Study) call(ctx context.Context, op string, with, answer any) error {
	if err := s.driver.Call(ctx, op, with, answer); err != nil {
		return fmt.Errorf("tune: %w", err)
	}
	return nil
}

// asked is a proposal of Optuna.
type asked struct {
	Number int
	Params map[string]any
}

func (s *Study) candidate(a asked) (*candidate, error) {
	c := &candidate{number: a.Number, seeds: slices.Clone(s.Seeds)}
	for _, axis := range s.Space {
		value, ok := a.Params[axis.Key]
		if !ok {
			return nil, fmt.Errorf("tune: trial %d of the study has no %s: it used a different search space; choose a new --out", a.Number, axis.Key)
		}
		c.sets = append(c.sets, axis.Key+"="+axis.text(value))
	}
	return c, nil
}

// Next returns the next seed of a started candidate, or a new candidate.
func (s *Study) Next(ctx context.Context) (study.Trial, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = slices.DeleteFunc(s.begun, func(c *candidate) bool { return c.pruned || c.failed || len(c.seeds) == 0 })
	if len(s.begun) == 0 {
		if s.asked >= s.Trials {
			return study.Trial{}, false, nil
		}
		var a asked
		if err := s.call(ctx, "ask", nil, &a); err != nil {
			return study.Trial{}, false, err
		}
		s.asked++
		c, err := s.candidate(a)
		if err != nil {
			return study.Trial{}, false, err
		}
		s.begun = append(s.begun, c)
	}
	c := s.begun[0]
	seed := c.seeds[0]
	t, err := study.Resolve(s.Catalog, s.Config, s.Size, slices.Concat(s.Set, c.sets), seed)
	if err != nil {
		return t, false, fmt.Errorf("tune: trial %d: %w", c.number, err)
	}
	t.Name = fmt.Sprintf("t%04d-s%d", c.number, seed)
	c.seeds, c.trials, c.running = c.seeds[1:], append(c.trials, t.Name), c.running+1
	s.byName[t.Name] = c
	return t, true, nil
}

// Look reports the mean over the seeds at every step that all seeds have reached.
func (s *Study) Look(ctx context.Context, status study.Status) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byName[status.Name]
	if c.pruned || c.failed {
		return false, nil
	}
	steps, means := s.values(c)
	for i, step := range steps {
		if step <= c.reported {
			continue
		}
		var verdict struct{ Prune bool }
		if err := s.call(ctx, "report", map[string]any{"number": c.number, "step": int64(step), "value": means[i]}, &verdict); err != nil {
			return true, err
		}
		c.reported, c.pruned = step, verdict.Prune
		if c.pruned {
			return false, nil
		}
	}
	return true, nil
}

// Ended reports the result to Optuna after the last seed.
func (s *Study) Ended(ctx context.Context, status study.Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byName[status.Name]
	c.running--
	c.failed = c.failed || status.State == study.Failed
	if c.running > 0 || len(c.seeds) > 0 && !c.pruned && !c.failed {
		return nil
	}
	with := map[string]any{"number": c.number, "state": "complete", "value": nil}
	steps, means := s.values(c)
	switch {
	case c.pruned:
		with["state"] = "pruned"
	case c.failed || len(steps) == 0:
		with["state"] = "failed"
	default:
		with["value"] = means[len(means)-1]
	}
	return s.call(ctx, "tell", with, nil)
}

// values returns the means over a candidate's seeds at the steps that all have recorded.
func (s *Study) values(c *candidate) (steps, means []float64) {
	if len(c.seeds) > 0 {
		return nil, nil
	}
	sums, counts := map[float64]float64{}, map[float64]int{}
	for _, trial := range c.trials {
		table, err := runs.ReadTable(filepath.Join(s.Dir, trial))
		if err != nil {
			return nil, nil // nothing recorded yet
		}
		at, values := table.Series(s.Metric)
		for i, step := range at {
			sums[step] += values[i]
			counts[step]++
		}
	}
	for step, n := range counts {
		if n == len(c.trials) {
			steps = append(steps, step)
		}
	}
	slices.Sort(steps)
	for _, step := range steps {
		means = append(means, sums[step]/float64(len(c.trials)))
	}
	return steps, means
}

// A Result is the outcome of one set of settings.
type Result struct {
	Number int      `json:"number"`
	State  string   `json:"state"` // complete, pruned, fail, running
	Value  *float64 `json:"value"`
	Sets   []string `json:"settings"`
}

// Results returns all settings tried, best first.
func (s *Study) Results(ctx context.Context) ([]Result, error) {
	var all []struct {
		asked
		State string
		Value *float64
	}
	if err := s.call(ctx, "results", nil, &all); err != nil {
		return nil, err
	}
	var results []Result
	for _, a := range all {
		c, err := s.candidate(a.asked)
		if err != nil {
			return nil, err
		}
		results = append(results, Result{a.Number, a.State, a.Value, c.sets})
	}
	slices.SortStableFunc(results, func(a, b Result) int {
		if a.State != "complete" || b.State != "complete" || a.Value == nil || b.Value == nil {
			return cmp.Compare(order(a), order(b))
		}
		if s.Minimize {
			return cmp.Compare(*a.Value, *b.Value)
		}
		return cmp.Compare(*b.Value, *a.Value)
	})
	return results, nil
}

func order(r Result) int {
	return slices.Index([]string{"complete", "pruned", "running", "fail"}, r.State)
}
