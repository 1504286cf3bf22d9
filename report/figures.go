package report

import (
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// figures draws the figures of a section, in the page's order.
func (s *Section) figures(o Options) ([]*Figure, error) {
	var all []*Figure
	var metrics []string
	if !s.Overall {
		metrics = append([]string{s.Metric}, o.Metrics...)
	}
	for _, metric := range metrics {
		if !slices.ContainsFunc(s.Results, func(r *Result) bool { return r.of(metric) != nil }) {
			continue
		}
		f, err := s.along(metric)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	for _, make := range []func(Options) (*Figure, error){s.atTheEnd, s.profiles} {
		f, err := make(o)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// of returns the curve of a metric; nil if the runs lack it.
func (r *Result) of(metric string) *Curve {
	for _, c := range r.Curves {
		if c.Metric == metric {
			return c
		}
	}
	return nil
}

// Names of metrics in the figures.
var names = map[string]string{
	"eval/mean_reward":    "return of an evaluation",
	"rollout/ep_rew_mean": "return while training",
	smoothness:            "smoothness, ‖∇ log p̄‖",
	"policy/sigma":        "bandwidth σ",
	"policy/epsilon_used": "step size ε",
	"policy/acceptance":   "share of moves taken",
	"train/entropy":       "entropy, nats",
	ofImages:              "smoothness, ‖∇ log p̄‖",
	rejection:             "share of moves rejected",
	"eval/fid":            "FID",
	"eval/fd_e0":          "FD-E0",
	"eval/fd_e2":          "FD-E2",
	"eval/kid":            "KID",
}

func nameOf(metric string) string {
	if n, ok := names[metric]; ok {
		return n
	}
	return metric
}

// logarithmic metrics span orders of magnitude.
var logarithmic = []string{smoothness, ofImages, "eval/fid", "eval/fd_e0", "eval/fd_e2", "train/critic_loss"}

// along draws the interquartile means of a metric over the steps, with intervals and
// published curves.
func (s *Section) along(metric string) (*Figure, error) {
	f := newFigure("along-"+slug(metric), nameOf(metric)+", "+s.Env,
		s.counted(), nameOf(metric)+" (IQM)")
	f.Caption = "Interquartile mean over the runs of each configuration; the shade is its 95 % bootstrap interval. " +
		"A curve ends where its shortest run ends."
	f.plot.X.Tick.Marker = ticks{steps: true}
	log := slices.Contains(logarithmic, metric) && s.positive(metric)
	published := false
	var end float64
	for _, r := range s.Results {
		if c := r.of(metric); c != nil {
			end = max(end, c.Steps[len(c.Steps)-1])
		}
	}
	for _, r := range s.Results { // draw published curves first, behind the others
		if p := r.published(metric); p != nil && len(p.Steps) > 0 && r.of(metric) != nil {
			steps := p.Steps
			if s.Images { // published iterations have an unknown size
				steps = stretched(steps, end)
			}
			line, err := plotter.NewLine(upTo(1.1*end, steps, p.Values))
			if err != nil {
				return nil, err
			}
			line.Color, line.Width = faded(colourOf(r.Style), 170), vg.Points(0.8)
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
			f.plot.Add(line)
			published = true
		}
	}
	for i, r := range s.Results {
		if c := r.of(metric); c != nil {
			if err := f.addCurve(r, c, s.brief(r), i); err != nil {
				return nil, err
			}
		}
	}
	if published {
		line := &plotter.Line{LineStyle: draw.LineStyle{Color: faint, Width: vg.Points(0.8), Dashes: []vg.Length{vg.Points(4), vg.Points(3)}}}
		f.entry("published, same colour", line)
		f.Caption += " Thin dashed lines are published figures, read off the MET-SVGD web page; " + s.publishedOf() + "."
	}
	if log {
		f.plot.Y.Scale, f.plot.Y.Tick.Marker = plot.LogScale{}, logTicks{}
		f.plot.Y.Min, f.plot.Y.Max = f.plot.Y.Min/1.1, f.plot.Y.Max*1.1
	}
	f.plot.X.Min = 0
	return f, nil
}

// counted is the name of the section's steps.
func (s *Section) counted() string {
	if s.Images {
		return "updates"
	}
	return "environment steps"
}

// publishedOf is a caveat about the published figures.
func (s *Section) publishedOf() string {
	if s.Images {
		return "their iterations, of a size that is not known, are stretched over these updates, and their models were others"
	}
	return "their environment was an older version"
}

// positive reports whether a metric can have a logarithmic axis.
func (s *Section) positive(metric string) bool {
	for _, r := range s.Results {
		if c := r.of(metric); c != nil && slices.ContainsFunc(c.Points, func(i Interval) bool { return !(i.Low > 0) }) {
			return false
		}
	}
	return true
}

func (f *Figure) addCurve(r *Result, c *Curve, name string, place int) error {
	colour := colourOf(r.Style)
	band := make(plotter.XYs, 0, 2*len(c.Steps))
	line := make(plotter.XYs, len(c.Steps))
	for i, x := range c.Steps {
		band = append(band, plotter.XY{X: x, Y: c.Points[i].High})
		line[i] = plotter.XY{X: x, Y: c.Points[i].Value}
	}
	for i := len(c.Steps) - 1; i >= 0; i-- {
		band = append(band, plotter.XY{X: c.Steps[i], Y: c.Points[i].Low})
	}
	if c.Runs > 1 {
		shade, err := plotter.NewPolygon(band)
		if err != nil {
			return err
		}
		shade.Color, shade.LineStyle.Width = faded(colour, 38), 0
		f.plot.Add(shade)
	}
	curve, err := plotter.NewLine(line)
	if err != nil {
		return err
	}
	curve.Color, curve.Width = colour, vg.Points(1.6)
	// A few marks, at other steps than those of the next curve.
	every := max(1, len(line)/6)
	var few plotter.XYs
	for i := (place * 5) % every; i < len(line); i += every {
		few = append(few, line[i])
	}
	dots := &plotter.Scatter{XYs: few, GlyphStyle: draw.GlyphStyle{Color: colour, Radius: vg.Points(3), Shape: markOf(r.Style)}}
	f.plot.Add(curve, dots)
	f.entry(name, curve, dots)
	return nil
}

// atTheEnd draws the interquartile mean of each configuration with its interval, the
// scores of its runs, and published figures.
func (s *Section) atTheEnd(o Options) (*Figure, error) {
	f := newFigure("end", nameOf(s.Metric)+" at the end, "+s.Env, nameOf(s.Metric), "")
	if s.Overall {
		f = newFigure("end", "normalised scores at the end, all environments", "score, 0 the worst run, 1 the best", "")
	}
	f.Caption = "Thick: interquartile mean with its 95 % bootstrap interval. Small: single runs."
	n := len(s.Results)
	labels := make([]string, n)
	published := false
	for i, r := range s.Results {
		y := float64(n - 1 - i) // the first at the top
		labels[n-1-i] = s.brief(r)
		colour := colourOf(r.Style)
		var runs plotter.XYs
		for _, task := range r.Scores {
			for _, x := range task {
				runs = append(runs, plotter.XY{X: x, Y: y - 0.22})
			}
		}
		f.plot.Add(
			bar(r.IQM.Low, r.IQM.High, y, colour, 4, nil),
			&plotter.Scatter{XYs: runs, GlyphStyle: draw.GlyphStyle{Color: faded(colour, 150), Radius: vg.Points(2), Shape: draw.CircleGlyph{}}},
			&plotter.Scatter{XYs: plotter.XYs{{X: r.IQM.Value, Y: y}}, GlyphStyle: draw.GlyphStyle{Color: colour, Radius: vg.Points(5), Shape: markOf(r.Style)}},
		)
		if p := r.Published; p != nil && !math.IsNaN(p.Final) {
			published = true
			low, high := p.Low, p.High
			if math.IsNaN(low) {
				low = p.Final
			}
			if math.IsNaN(high) {
				high = p.Final
			}
			f.plot.Add(bar(low, high, y+0.24, colour, 0.8, []vg.Length{vg.Points(4), vg.Points(3)}),
				&plotter.Scatter{XYs: plotter.XYs{{X: p.Final, Y: y + 0.24}}, GlyphStyle: draw.GlyphStyle{Color: colour, Radius: vg.Points(3), Shape: draw.RingGlyph{}}})
		}
	}
	f.plot.NominalY(labels...)
	f.plot.Y.Min, f.plot.Y.Max = -0.6, float64(n)-0.4
	f.plot.Y.Tick.Label.Font, f.plot.Y.Tick.Label.Color = sans(10), ink
	f.plot.Y.Color = color.Transparent
	f.height = max(2.2*vg.Inch, vg.Length(n)*vg.Points(26)+vg.Points(70))
	s.drawControls(f)
	if published {
		f.Caption += " Ring on a thin dashed line: published, with its interval where one is."
	}
	return f, nil
}

func bar(low, high, y float64, c color.Color, width float64, dashes []vg.Length) *plotter.Line {
	return &plotter.Line{XYs: plotter.XYs{{X: low, Y: y}, {X: high, Y: y}}, LineStyle: draw.LineStyle{Color: c, Width: vg.Points(width), Dashes: dashes}}
}

// profiles draws the fraction of runs above a score, for each configuration.
func (s *Section) profiles(o Options) (*Figure, error) {
	x, side := nameOf(s.Metric)+" τ", "above"
	if s.Overall {
		x = "normalised score τ"
	}
	if s.Lower {
		side = "below"
	}
	f := newFigure("profile", "performance profiles, "+s.Env, x, "share of runs "+side+" τ")
	f.Caption = "Share of the runs whose score at the end is " + side + " τ, with its 95 % bootstrap interval: higher is better."
	for i, r := range s.Results {
		if err := f.addCurve(r, &Curve{Steps: s.Taus, Points: r.Profile, Runs: len(r.Runs)}, s.brief(r), i); err != nil {
			return nil, err
		}
	}
	f.plot.Y.Min, f.plot.Y.Max = 0, 1
	return f, nil
}

// stretched scales steps so that the last is end.
func stretched(steps []float64, end float64) []float64 {
	out := make([]float64, len(steps))
	for i, x := range steps {
		out[i] = x * end / steps[len(steps)-1]
	}
	return out
}

// upTo returns the points with x ≤ end.
func upTo(end float64, x, y []float64) plotter.XYs {
	var all plotter.XYs
	for i := range x {
		if x[i] <= end {
			all = append(all, plotter.XY{X: x[i], Y: y[i]})
		}
	}
	return all
}

// brief is a label without the folder that all labels of the section share.
func (s *Section) brief(r *Result) string {
	folder := func(r *Result) string { return r.Label[:strings.IndexByte(r.Label, '/')+1] }
	for _, other := range s.Results {
		if folder(other) != folder(r) {
			return r.Label
		}
	}
	return strings.TrimPrefix(r.Label, folder(r))
}
