package report

import (
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A Control says what the distances of image models mean: that of images which no model
// drew, from the same reference. Runs measure them at their end.
type Control struct {
	Name string
	Of   *Result // whose samples start there; nil: the control is that of all configurations
	Runs int
	// Score is the section's metric, KID the kernel distance; NaN where it was not
	// measured.
	Score, KID Interval
}

// startAlone is the control of each configuration; the others are of the data alone.
const startAlone = "start alone"

// controlNames are the controls by their name in a run's figures, the farthest from the
// data first.
var controlNames = []struct{ key, name string }{
	{"noise", "noise"}, {"start_alone", startAlone}, {"nearest_normals", "nearest normals"}, {"held-out_pictures", "held-out images"},
}

// controls reads what the runs of an image model's section measured beside their samples.
func (s *Section) controls(o Options) []*Control {
	if !s.Images || !slices.Contains(lower, s.Metric) {
		return nil
	}
	metric := strings.TrimPrefix(s.Metric, "eval/")
	measure := func(runs []*Run, key, name string, of *Result) *Control {
		c := &Control{Name: name, Of: of}
		var n int
		c.Score, n = o.Bootstrap.lasts(runs, "control/"+key+"_"+metric)
		c.KID, c.Runs = o.Bootstrap.lasts(runs, "control/"+key+"_kid")
		c.Runs = max(c.Runs, n)
		return c
	}
	var all []*Control
	for _, of := range controlNames {
		if of.name == startAlone {
			for _, r := range s.Results {
				all = append(all, measure(r.Runs, of.key, of.name, r))
			}
			continue
		}
		var runs []*Run
		for _, r := range s.Results {
			runs = append(runs, r.Runs...)
		}
		all = append(all, measure(runs, of.key, of.name, nil))
	}
	return slices.DeleteFunc(all, func(c *Control) bool { return c.Runs == 0 })
}

// lasts is the interquartile mean of the last values of a figure over the n runs that
// have one.
func (b Bootstrap) lasts(runs []*Run, metric string) (i Interval, n int) {
	var values []float64
	for _, r := range runs {
		if x, ok := r.Last(metric); ok {
			values = append(values, x)
		}
	}
	if len(values) == 0 {
		return Interval{math.NaN(), math.NaN(), math.NaN()}, 0
	}
	return b.Interval(Scores{values}, IQM), len(values)
}

// drawControls adds the controls to the figure of the ends: those of all configurations
// as lines through it, and on each configuration's row where its samples start.
func (s *Section) drawControls(f *Figure) {
	dashes := map[string][]vg.Length{
		"noise": {vg.Points(1), vg.Points(3)}, "nearest normals": {vg.Points(6), vg.Points(2)}, "held-out images": nil,
	}
	start := &plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: ink, Radius: vg.Points(4), Shape: draw.CrossGlyph{}}}
	for _, c := range s.Controls {
		if math.IsNaN(c.Score.Value) {
			continue
		}
		if c.Of != nil {
			y := float64(len(s.Results) - 1 - slices.Index(s.Results, c.Of))
			start.XYs = append(start.XYs, plotter.XY{X: c.Score.Value, Y: y})
			continue
		}
		line := &plotter.Line{
			XYs:       plotter.XYs{{X: c.Score.Value, Y: -0.6}, {X: c.Score.Value, Y: float64(len(s.Results)) - 0.4}},
			LineStyle: draw.LineStyle{Color: faint, Width: vg.Points(1.2), Dashes: dashes[c.Name]},
		}
		f.plot.Add(line)
		f.entry(c.Name, line)
	}
	if len(start.XYs) > 0 {
		f.plot.Add(start)
		f.entry(startAlone, start)
	}
	if len(s.Controls) > 0 {
		f.Caption += " Lines and crosses: controls, with as many images as the samples; a cross is where a configuration's samples start."
	}
}

func (r *Report) controlTable() [][]string {
	rows := [][]string{{"environment", "control", "configuration", "runs", "metric", "iqm", "iqm_low", "iqm_high", "kid_iqm", "kid_low", "kid_high"}}
	for _, s := range r.Sections {
		for _, c := range s.Controls {
			of := ""
			if c.Of != nil {
				of = c.Of.Label
			}
			row := append([]string{s.Env, c.Name, of, number(float64(c.Runs)), s.Metric}, c.Score.cells()...)
			rows = append(rows, append(row, c.KID.cells()...))
		}
	}
	return rows
}
