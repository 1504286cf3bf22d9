package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Write writes the report to a folder, which it creates if needed: index.html, the
// figures as SVG and PNG, all numbers as CSV, and benchmark.md. It returns the paths, the
// page's first.
func (r *Report) Write(dir string) (paths []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	save := func(name string, data []byte, failed error) {
		path := filepath.Join(dir, name)
		if failed == nil {
			failed = os.WriteFile(path, data, 0o644)
		}
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("report: writing %s: %w", path, failed))
			return
		}
		paths = append(paths, path)
	}
	taken := map[string]int{}
	unique := func(name string) string { // names of two sections may differ only in other characters
		if taken[name]++; taken[name] > 1 {
			name = fmt.Sprintf("%s-%d", name, taken[name])
		}
		return name
	}
	html, failed := r.HTML()
	save("index.html", html, failed)
	if text, failed := r.Benchmark(); text != "" || failed != nil {
		save("benchmark.md", []byte(text), failed)
	}
	for _, s := range r.Sections {
		for _, f := range s.Figures {
			name := unique(slug(s.Env) + "-" + f.ID)
			svg, failed := f.SVG()
			save(name+".svg", svg, failed)
			png, failed := f.PNG()
			save(name+".png", png, failed)
		}
	}
	for _, t := range []struct {
		name string
		rows [][]string
	}{
		{"end.csv", r.endTable()}, {"curves.csv", r.curveTable()}, {"improvement.csv", r.improvementTable()},
		{"profiles.csv", r.profileTable()}, {"runs.csv", r.runTable()}, {"published.csv", r.publishedTable()},
		{"controls.csv", r.controlTable()},
	} {
		var out bytes.Buffer
		w := csv.NewWriter(&out)
		failed := w.WriteAll(t.rows)
		save(t.name, out.Bytes(), failed)
	}
	return paths, err
}

// longest is the maximum length of a part of a file name.
const longest = 100

func slug(text string) string {
	text = text[:min(len(text), longest)]
	return strings.ToLower(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, text))
}

// number formats with full precision; a missing value is an empty cell.
func number(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

func (i Interval) cells() []string { return []string{number(i.Value), number(i.Low), number(i.High)} }

func (r *Report) endTable() [][]string {
	rows := [][]string{{"environment", "configuration", "runs", "step"}}
	for _, name := range []string{"iqm", "mean", "median", "optimality_gap"} {
		rows[0] = append(rows[0], name, name+"_low", name+"_high")
	}
	rows[0] = append(rows[0], "gamma", "published_iqm", "published_low", "published_high")
	for _, s := range r.Sections {
		for _, one := range s.Results {
			row := []string{s.Env, one.Label, strconv.Itoa(len(one.Runs)), number(one.End)}
			for _, i := range []Interval{one.IQM, one.Mean, one.Median, one.Gap} {
				row = append(row, i.cells()...)
			}
			row = append(row, number(s.Gamma))
			if p := one.Published; p != nil {
				row = append(row, number(p.Final), number(p.Low), number(p.High))
			} else {
				row = append(row, "", "", "")
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func (r *Report) curveTable() [][]string {
	rows := [][]string{{"environment", "configuration", "metric", "step", "runs", "iqm", "iqm_low", "iqm_high", "mean"}}
	for _, s := range r.Sections {
		for _, one := range s.Results {
			for _, c := range one.Curves {
				for i, step := range c.Steps {
					row := append([]string{s.Env, one.Label, c.Metric, number(step), strconv.Itoa(c.Runs)}, c.Points[i].cells()...)
					rows = append(rows, append(row, number(c.Means[i])))
				}
			}
		}
	}
	return rows
}

func (r *Report) improvementTable() [][]string {
	rows := [][]string{{"environment", "configuration", "over", "probability", "low", "high"}}
	for _, s := range r.Sections {
		for i, a := range s.Results {
			for j, b := range s.Results {
				if i != j {
					rows = append(rows, append([]string{s.Env, a.Label, b.Label}, s.Better[i][j].cells()...))
				}
			}
		}
	}
	return rows
}

func (r *Report) profileTable() [][]string {
	rows := [][]string{{"environment", "configuration", "tau", "share_above", "low", "high"}}
	for _, s := range r.Sections {
		for _, one := range s.Results {
			for i, tau := range s.Taus {
				rows = append(rows, append([]string{s.Env, one.Label, number(tau)}, one.Profile[i].cells()...))
			}
		}
	}
	return rows
}

func (r *Report) runTable() [][]string {
	rows := [][]string{{"environment", "configuration", "folder", "seed", "steps", "seconds", "score_at_end_of_configuration"}}
	for _, s := range r.Sections {
		if s.Overall {
			continue
		}
		for _, one := range s.Results {
			for i, run := range one.Runs {
				rows = append(rows, []string{s.Env, one.Label, run.Dir, strconv.FormatUint(uint64(run.Info.Seed), 10),
					strconv.FormatInt(run.Step, 10), number(run.Seconds), number(one.Scores[0][i])})
			}
		}
	}
	return rows
}

func (r *Report) publishedTable() [][]string {
	rows := [][]string{{"configuration", "metric", "step", "value", "source"}}
	for _, s := range r.Sections {
		for _, one := range s.Results {
			for _, c := range one.Curves {
				if p := one.published(c.Metric); p != nil {
					for i, step := range p.Steps {
						rows = append(rows, []string{one.Label, c.Metric, number(step), number(p.Values[i]), p.Source})
					}
				}
			}
		}
	}
	return rows
}
