package report

import (
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// milestones are the steps at which a benchmark's table compares returns.
var milestones = []float64{25_000, 50_000, 100_000, 200_000, 300_000, 500_000, 1_000_000}

// Benchmark returns a Markdown table for each environment: the return of every
// configuration at the milestones, as interquartile mean over its runs with a 95 %
// interval, and the cost of the runs. Published returns follow each table. Image models
// are omitted.
func (r *Report) Benchmark() (string, error) {
	anchors, err := readAnchors()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, s := range r.Sections {
		if s.Images || s.Overall {
			continue
		}
		fmt.Fprintf(&out, "## %s\n\n", s.Env)
		steps := s.milestones()
		s.benchmarkTable(&out, steps, r.Bootstrap)
		name, _, _ := strings.Cut(s.Env, "-v")
		writeAnchors(&out, anchors, name)
	}
	return out.String(), nil
}

// milestones returns those that some configuration has reached, and the longest run's end
// if it is well beyond the last of them.
func (s *Section) milestones() []float64 {
	end := 0.0
	for _, r := range s.Results {
		end = max(end, r.End)
	}
	steps := slices.DeleteFunc(slices.Clone(milestones), func(x float64) bool { return x > end })
	if len(steps) == 0 || steps[len(steps)-1] < 0.9*end {
		steps = append(steps, end)
	}
	return steps
}

func (s *Section) benchmarkTable(out *strings.Builder, steps []float64, b Bootstrap) {
	out.WriteString("| configuration | runs |")
	for _, x := range steps {
		fmt.Fprintf(out, " %s |", thousands(int64(x)))
	}
	out.WriteString(" fallen evaluations | steps/s | hours a run | processor hours |\n|---|---|")
	out.WriteString(strings.Repeat("---|", len(steps)+4) + "\n")
	for _, r := range s.Results {
		fmt.Fprintf(out, "| `%s` | %d |", r.Label, len(r.Runs))
		for _, x := range steps {
			fmt.Fprintf(out, " %s |", r.Group.scoreAt(s.Metric, x, b))
		}
		fallen, of := r.Group.fallen(s.Metric)
		hours, cpu, speed := r.Group.cost()
		fmt.Fprintf(out, " %d of %d | %s | %s | %s |\n", fallen, of, rounded(speed, 3), rounded(hours, 2), rounded(cpu, 2))
	}
	out.WriteString("\n")
}

// scoreAt returns the interquartile mean over the runs that reached step, with its interval
// if there are several.
func (g *Group) scoreAt(metric string, step float64, b Bootstrap) string {
	scores := Scores{nil}
	for _, r := range g.Runs {
		s := r.series[metric]
		if n := len(s.steps); n > 0 && s.steps[0] <= step && s.steps[n-1] >= step {
			scores[0] = append(scores[0], s.at(step))
		}
	}
	switch n := len(scores[0]); {
	case n == 0:
		return ""
	case n == 1:
		return fmt.Sprintf("%.0f (1 run)", scores[0][0])
	default:
		i := b.Interval(scores, IQM)
		text := fmt.Sprintf("%.0f [%.0f, %.0f]", i.Value, i.Low, i.High)
		if n < len(g.Runs) {
			text += fmt.Sprintf(" (%d runs)", n)
		}
		return text
	}
}

// fallen counts the evaluations in the second halves of the runs, and those of them below
// half of the median of their run's second half.
func (g *Group) fallen(metric string) (fallen, of int) {
	for _, r := range g.Runs {
		s := r.series[metric]
		var late []float64
		for i, x := range s.steps {
			if x > s.steps[len(s.steps)-1]/2 {
				late = append(late, s.values[i])
			}
		}
		if len(late) == 0 {
			continue
		}
		sorted := slices.Sorted(slices.Values(late))
		for _, x := range late {
			if x < sorted[len(sorted)/2]/2 {
				fallen++
			}
		}
		of += len(late)
	}
	return fallen, of
}

// cost returns the means over runs of hours, processor hours, and steps per second,
// including evaluations; NaN if no run recorded it.
func (g *Group) cost() (hours, cpu, speed float64) {
	mean := func(of func(*Run) float64) float64 {
		sum, n := 0.0, 0
		for _, r := range g.Runs {
			if x := of(r); x > 0 {
				sum, n = sum+x, n+1
			}
		}
		return sum / float64(n)
	}
	hours = mean(func(r *Run) float64 { return r.series["time/time_elapsed"].total() / 3600 })
	cpu = mean(func(r *Run) float64 { return r.series["time/cpu"].total() / 3600 })
	speed = mean(func(r *Run) float64 { return float64(r.Step) / r.series["time/time_elapsed"].total() })
	return hours, cpu, speed
}

// total sums a count that restarts at zero in each process.
func (s series) total() float64 {
	sum, last := 0.0, 0.0
	for _, x := range s.values {
		if x < last {
			sum += last
		}
		last = x
	}
	return sum + last
}

// An anchor is a published return in an environment.
type anchor struct {
	env, method, updates string
	steps, value         float64
	source               string
}

func readAnchors() ([]anchor, error) {
	file, err := publishedFiles.Open("published/mujoco.csv")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("report: published/mujoco.csv: %w", err)
	}
	var all []anchor
	for _, row := range rows[1:] {
		a := anchor{env: row[0], method: row[1], updates: row[2], source: row[5]}
		if a.steps, err = strconv.ParseFloat(row[3], 64); err == nil {
			a.value, err = strconv.ParseFloat(row[4], 64)
		}
		if err != nil {
			return nil, fmt.Errorf("report: published/mujoco.csv: %w", err)
		}
		all = append(all, a)
	}
	return all, nil
}

// writeAnchors writes the published returns of an environment, one row per method.
func writeAnchors(out *strings.Builder, all []anchor, env string) {
	var steps []float64
	var methods []string
	of := map[string]map[float64]float64{}
	about := map[string][2]string{} // updates a step, source
	for _, a := range all {
		if a.env != env {
			continue
		}
		if of[a.method] == nil {
			of[a.method] = map[float64]float64{}
			about[a.method] = [2]string{a.updates, a.source}
			methods = append(methods, a.method)
		}
		of[a.method][a.steps] = a.value
		if !slices.Contains(steps, a.steps) {
			steps = append(steps, a.steps)
		}
	}
	if len(methods) == 0 {
		return
	}
	slices.Sort(steps)
	out.WriteString("Published, mean return:\n\n| method | updates a step |")
	for _, x := range steps {
		fmt.Fprintf(out, " %s |", thousands(int64(x)))
	}
	out.WriteString(" source |\n|---|---|" + strings.Repeat("---|", len(steps)+1) + "\n")
	for _, m := range methods {
		fmt.Fprintf(out, "| %s | %s |", m, about[m][0])
		for _, x := range steps {
			if v, ok := of[m][x]; ok {
				fmt.Fprintf(out, " %.0f |", v)
			} else {
				out.WriteString("  |")
			}
		}
		fmt.Fprintf(out, " %s |\n", about[m][1])
	}
	out.WriteString("\n")
}

// rounded formats x with this many significant digits; NaN and infinities give "".
func rounded(x float64, digits int) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', digits, 64)
}
