// Package report compares runs: interquartile means with intervals, learning curves, and
// probabilities of improvement, as tables, figures, CSV files and an HTML page. Its only
// input are run folders.
//
// The statistics are those of Agarwal et al., Deep reinforcement learning at the edge of
// the statistical precipice (2021), and agree with the PyPI package rliable.
package report

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"sync"
	"time"
)

// Options select what a report shows. Zeros are the defaults.
type Options struct {
	Title     string
	Return    string   // metric that runs are compared by; empty: see ReturnOf
	Metrics   []string // further curves; nil: smoothness and rejection rate
	Gamma     *float64 // threshold of the optimality gap; nil: the best run's score of its task
	Bootstrap Bootstrap
}

// A Report is a comparison of runs.
type Report struct {
	Options
	Created  time.Time
	Sections []*Section // one per environment, and one for all if several methods allow it
	Runs     int
	Left     []Left
}

// A Section compares the configurations of one environment.
type Section struct {
	Env     string // or the data set
	Metric  string // that runs are compared by
	Lower   bool   // lower is better
	Images  bool   // image models, whose steps are updates
	Overall bool   // several environments, with scores normalised to 0…1 in each
	Gamma   float64
	Results []*Result
	Better  [][]Interval // [i][j]: probability that a run of i is better than one of j
	Taus    []float64    // of the performance profiles
	Figures []*Figure
	// Controls are what distances of image models mean: noise, the start of the samples,
	// and so on; none where the runs did not measure them.
	Controls []*Control
}

// A Result holds the statistics of a configuration's runs. They are taken at the last
// step that all of its runs have reached.
type Result struct {
	*Group
	End               float64
	Scores            Scores // at that step, in the order of Runs
	IQM, Mean, Median Interval
	Gap               Interval
	Profile           []Interval // at the section's Taus
	Curves            []*Curve
	Published         *Published
}

// A Curve is the interquartile mean of a metric over the steps.
type Curve struct {
	Metric string
	Runs   int
	Steps  []float64
	Points []Interval
	Means  []float64
}

// The default metrics.
const (
	DefaultReturn = "eval/mean_reward"
	smoothness    = "policy/score_norm"
	ofImages      = "sampler/score_norm"
	rejection     = "sampler/rejection"
)

// lower are the metrics for which lower is better.
var lower = []string{"eval/fid", "eval/fd_e0", "eval/fd_e2", "eval/kid"}

// New reads the run folders among and below dirs and compares them.
func New(dirs []string, o Options) (*Report, error) {
	if err := o.Bootstrap.validate(); err != nil {
		return nil, err
	}
	if o.Metrics == nil {
		o.Metrics = []string{smoothness, ofImages, rejection}
	}
	folders, unread, err := Find(dirs...)
	if err != nil {
		return nil, err
	}
	runs, left := read(folders, o.Return)
	groups, twice := group(runs)
	groups, apart := comparable(groups, o.Return)
	r := &Report{Options: o, Created: time.Now(), Left: slices.Concat(unread, left, twice, apart)}
	if len(groups) == 0 {
		return nil, fmt.Errorf("report: cannot compare any of %d runs; the first is %s: %s", len(folders), r.Left[0].Dir, r.Left[0].Why)
	}
	for _, g := range groups {
		r.Runs += len(g.Runs)
		metric, images := cmp.Or(o.Return, g.Runs[0].ReturnOf()), g.Runs[0].ofImages()
		i := slices.IndexFunc(r.Sections, func(s *Section) bool { return s.Env == g.Env && s.Metric == metric && s.Images == images })
		if i < 0 {
			i = len(r.Sections)
			r.Sections = append(r.Sections, &Section{Env: g.Env, Metric: metric, Lower: slices.Contains(lower, metric), Images: images})
		}
		r.Sections[i].Results = append(r.Sections[i].Results, &Result{Group: g})
	}
	for _, s := range r.Sections {
		if err := s.measure(o); err != nil {
			return nil, fmt.Errorf("report: %s: %w", s.Env, err)
		}
	}
	if overall := r.overall(); overall != nil {
		r.Sections = append(r.Sections, overall)
	}
	for _, s := range r.Sections {
		s.compare(o)
		s.Controls = s.controls(o)
		if s.Figures, err = s.figures(o); err != nil {
			return nil, fmt.Errorf("report: %s: %w", s.Env, err)
		}
	}
	return r, nil
}

// comparable returns the groups whose runs have common steps.
func comparable(groups []*Group, metric string) (kept []*Group, left []Left) {
	for _, g := range groups {
		of := cmp.Or(metric, g.Runs[0].ReturnOf())
		if steps, _ := g.curve(of); len(steps) > 0 {
			kept = append(kept, g)
			continue
		}
		for _, r := range g.Runs {
			left = append(left, Left{r.Dir, fmt.Sprintf("the runs of %s have no step of %s in common", g.Label, of)})
		}
	}
	return kept, left
}

// curves computes the curves and their final values.
func (r *Result) curves(bootstrap Bootstrap, metrics ...string) {
	for _, metric := range metrics {
		steps, values := r.curve(metric)
		if len(steps) == 0 {
			continue
		}
		c := &Curve{Metric: metric, Runs: len(values), Steps: steps, Points: bootstrap.Curve(values)}
		for p := range steps {
			sum := 0.0
			for _, run := range values {
				sum += run[p]
			}
			c.Means = append(c.Means, sum/float64(len(values)))
		}
		r.Curves = append(r.Curves, c)
	}
}

// end computes the scores at the last step that all runs have reached.
func (r *Result) end(metric string) error {
	steps, values := r.curve(metric)
	if len(steps) == 0 {
		return fmt.Errorf("the runs of %s have no step of %s in common", r.Label, metric)
	}
	last := len(steps) - 1
	r.End = steps[last]
	r.Scores = Scores{nil}
	for _, run := range values {
		r.Scores[0] = append(r.Scores[0], run[last])
	}
	r.Published = r.published(metric)
	return nil
}

// measure computes the curves and scores of an environment's configurations.
func (s *Section) measure(o Options) error {
	var all sync.WaitGroup
	failed := make([]error, len(s.Results))
	for i, r := range s.Results {
		all.Go(func() {
			if failed[i] = r.end(s.Metric); failed[i] == nil {
				r.curves(o.Bootstrap, append([]string{s.Metric}, o.Metrics...)...)
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// compare computes the statistics of the scores.
func (s *Section) compare(o Options) {
	low, high := s.span()
	if s.Gamma = high; s.Lower {
		s.Gamma = low
	}
	if o.Gamma != nil && !s.Overall {
		s.Gamma = *o.Gamma
	}
	const taus = 101 // slightly beyond the scores at both ends
	for i := range taus {
		s.Taus = append(s.Taus, low+(high-low)*(1.04*float64(i)/(taus-1)-0.02))
	}
	better := func(x float64, of func(float64) Statistic) Statistic { return of(x) }
	if s.Lower {
		better = func(x float64, of func(float64) Statistic) Statistic {
			return func(scores Scores) float64 { return of(-x)(scores.negated()) }
		}
	}
	statistics := []Statistic{IQM, Mean, RunMedian, better(s.Gamma, OptimalityGap)}
	for _, tau := range s.Taus {
		statistics = append(statistics, better(tau, Profile))
	}
	s.Better = make([][]Interval, len(s.Results))
	var all sync.WaitGroup
	for i, r := range s.Results {
		all.Go(func() {
			got := o.Bootstrap.Intervals(r.Scores, statistics...)
			r.IQM, r.Mean, r.Median, r.Gap, r.Profile = got[0], got[1], got[2], got[3], got[4:]
			for _, other := range s.Results {
				mine, theirs := r.Scores, other.Scores
				if s.Lower {
					mine, theirs = mine.negated(), theirs.negated()
				}
				s.Better[i] = append(s.Better[i], o.Bootstrap.Improvement(mine, theirs))
			}
		})
	}
	all.Wait()
}

// span is the lowest and the highest score of any run.
func (s *Section) span() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, r := range s.Results {
		for _, task := range r.Scores {
			low, high = min(low, slices.Min(task)), max(high, slices.Max(task))
		}
	}
	return low, high
}

// overall compares methods across environments. A method is the last part of a
// configuration's name, such as sac in walker2d/sac and hopper/sac, and must occur once
// in each environment. Scores are normalised to 0…1 between the worst and the best run of
// an environment. overall is nil with fewer than two such methods.
func (r *Report) overall() *Section {
	sections := slices.DeleteFunc(slices.Clone(r.Sections), func(s *Section) bool { return s.Images })
	if len(sections) < 2 {
		return nil
	}
	all := &Section{Env: "all environments", Overall: true}
	for _, first := range sections[0].Results {
		method := path.Base(first.Label)
		joint := &Result{Group: &Group{Label: method, Name: method, Style: first.Style}}
		for _, s := range sections {
			same := slices.DeleteFunc(slices.Clone(s.Results), func(o *Result) bool { return path.Base(o.Label) != method })
			if len(same) != 1 {
				break
			}
			joint.Scores = append(joint.Scores, s.normalized(same[0].Scores[0]))
			joint.Runs = append(joint.Runs, same[0].Runs...)
		}
		if len(joint.Scores) == len(sections) {
			all.Results = append(all.Results, joint)
		}
	}
	if len(all.Results) < 2 {
		return nil
	}
	return all
}

func (s *Section) normalized(scores []float64) []float64 {
	low, high := s.span()
	var out []float64
	for _, x := range scores {
		share := (x - low) / max(high-low, math.SmallestNonzeroFloat64)
		if s.Lower {
			share = 1 - share
		}
		out = append(out, share)
	}
	return out
}
