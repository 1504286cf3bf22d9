package main

import (
	"fmt"
	"image/color"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

var colours = map[string]color.Color{
	pSVGD.label:     color.RGBA{150, 150, 150, 255},
	pSVGDLong.label: color.RGBA{66, 146, 198, 255},
	met.label:       color.RGBA{214, 69, 26, 255},
	"perfect":       color.RGBA{0, 0, 0, 255},
}

// paint plots the errors of the methods, over M above and over L below, with a column per
// target. The dotted line is the error of perfect samples.
func paint(path string, records []record) (err error) {
	const high = 2
	plots := make([][]*plot.Plot, high)
	for i, axis := range []string{"particles M (L = 10)", "steps L (M = 32)"} {
		for _, t := range toys {
			p := plot.New()
			p.Title.Text = fmt.Sprintf("%s, D = %d", t.name, t.dim)
			p.X.Label.Text = axis
			p.Y.Label.Text = "mean |error|, nats"
			p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
			p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
			if err := lines(p, records, t.name, t.dim, i == 0); err != nil {
				return err
			}
			plots[i] = append(plots[i], p)
		}
	}
	canvas := vgimg.New(vg.Length(len(toys))*2.6*vg.Inch, high*2.6*vg.Inch)
	tiles := draw.Tiles{Rows: high, Cols: len(toys), PadX: vg.Points(8), PadY: vg.Points(8)}
	for i, line := range plot.Align(plots, tiles, draw.New(canvas)) {
		for j, where := range line {
			plots[i][j].Draw(where)
		}
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := file.Close(); err == nil {
			err = e
		}
	}()
	_, err = vgimg.PngCanvas{Canvas: canvas}.WriteTo(file)
	return err
}

// lines adds one line for each method, and the floor.
func lines(p *plot.Plot, records []record, target string, dim int, overM bool) error {
	points := map[string]plotter.XYs{}
	for _, r := range records {
		if part := r.at("part"); part != "methods" && part != "many" {
			continue
		}
		x, fixed := r.at("M"), r.at("L") == "10"
		if !overM {
			x, fixed = r.at("L"), r.at("M") == "32"
		}
		if !fixed || r.at("target") != target || r.at("D") != strconv.Itoa(dim) {
			continue
		}
		at, err := numbers(x, r.at("mean_abs_error"), r.at("floor"))
		if err != nil {
			return err
		}
		label := r.at("sampler")
		points[label] = insert(points[label], plotter.XY{X: at[0], Y: at[1]})
		if label == met.label {
			points["perfect"] = insert(points["perfect"], plotter.XY{X: at[0], Y: at[2]})
		}
	}
	for _, label := range []string{pSVGD.label, pSVGDLong.label, met.label, "perfect"} {
		if len(points[label]) == 0 {
			continue // a part that was not run
		}
		line, dots, err := plotter.NewLinePoints(points[label])
		if err != nil {
			return fmt.Errorf("%s: %w", label, err)
		}
		line.Color, dots.Color = colours[label], colours[label]
		line.Width = vg.Points(1.5)
		dots.Shape, dots.Radius = draw.CircleGlyph{}, vg.Points(2.5)
		if label == "perfect" {
			line.Dashes = []vg.Length{vg.Points(2), vg.Points(2)}
			p.Add(line)
		} else {
			p.Add(line, dots)
		}
		if overM && target == toys[0].name && dim == toys[0].dim {
			p.Legend.Add(label, line)
		}
	}
	p.Legend.Top = true
	return nil
}

// insert keeps the points in the order of x.
func insert(all plotter.XYs, one plotter.XY) plotter.XYs {
	i := len(all)
	for i > 0 && all[i-1].X > one.X {
		i--
	}
	return append(all[:i:i], append(plotter.XYs{one}, all[i:]...)...)
}

func numbers(texts ...string) ([]float64, error) {
	out := make([]float64, len(texts))
	for i, t := range texts {
		v, err := strconv.ParseFloat(t, 64)
		if err != nil {
			return nil, fmt.Errorf("the table: %w", err)
		}
		out[i] = v
	}
	return out, nil
}
