package runs

import (
	"fmt"
	"image/color"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// A Line is a figure to draw.
type Line struct {
	Metric, Legend string
	Bold           bool
}

// Blue and vermilion of Okabe and Ito's palette, which is safe for colour-blind readers.
var palette = []color.Color{color.RGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}, color.RGBA{R: 0xd5, G: 0x5e, A: 0xff}}

// DrawCurve draws figures of a run folder against its step counter into a PNG there, and
// returns its path.
func DrawCurve(dir, title, over, of string, lines ...Line) (string, error) {
	table, err := ReadTable(dir)
	if err != nil {
		return "", err
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, over, of
	p.X.Min = 0
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	for i, l := range lines {
		steps, values := table.Series(l.Metric)
		points := make(plotter.XYs, len(steps))
		for p := range steps {
			points[p] = plotter.XY{X: steps[p], Y: values[p]}
		}
		if len(points) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return "", fmt.Errorf("runs: drawing %s: %w", l.Metric, err)
		}
		width := vg.Points(1)
		if l.Bold {
			width = vg.Points(2)
		}
		line.Color, line.Width = palette[i%len(palette)], width
		dots.Color, dots.Radius = palette[i%len(palette)], width
		p.Add(line, dots)
		p.Legend.Add(l.Legend, line)
	}
	path := filepath.Join(dir, curveName)
	if err := p.Save(7*vg.Inch, 4*vg.Inch, path); err != nil {
		return "", fmt.Errorf("runs: drawing %s: %w", path, err)
	}
	return path, nil
}
