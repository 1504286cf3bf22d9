//go:build linux

package chaos

import (
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Blue, vermilion and green of Okabe and Ito: told apart by everybody.
var soakColors = []color.Color{
	color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}, color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff},
}

// drawSoak draws what a soak had in hand over its time, into a PNG.
func drawSoak(samples []sample, path string) error {
	type series struct {
		name string
		of   func(sample) float64
	}
	panels := []struct {
		title  string
		series []series
	}{
		{"resident memory, MB", []series{
			{"trainer", func(a sample) float64 { return a.trainer.megabytes }},
			{"server", func(a sample) float64 { return a.server.megabytes }},
			{"3 workers together", func(a sample) float64 { return a.workersMB }},
		}},
		{"goroutines and open files", []series{
			{"trainer: goroutines", func(a sample) float64 { return a.trainer.goroutines }},
			{"server: goroutines", func(a sample) float64 { return a.server.goroutines }},
			{"trainer: files", func(a sample) float64 { return a.trainer.files }},
		}},
		{"files of the run, KB", []series{
			{"checkpoints", func(a sample) float64 { return a.checkpointsMB * 1024 }},
			{"metrics", func(a sample) float64 { return a.metricsKB }},
			{"log", func(a sample) float64 { return a.logsKB }},
		}},
	}
	plots := make([][]*plot.Plot, len(panels))
	for i, panel := range panels {
		p := plot.New()
		p.Title.Text, p.X.Label.Text = panel.title, "minutes"
		p.X.Min, p.Y.Min = 0, 0
		p.Legend.XOffs, p.Legend.Top = vg.Points(-4), false
		p.Add(plotter.NewGrid())
		for j, s := range panel.series {
			points := make(plotter.XYs, len(samples))
			for k, a := range samples {
				points[k] = plotter.XY{X: a.minutes, Y: s.of(a)}
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				return err
			}
			line.Color, line.Width = soakColors[j], vg.Points(1.5)
			p.Add(line)
			p.Legend.Add(s.name, line)
		}
		p.Y.Max *= 1.1
		plots[i] = []*plot.Plot{p}
	}
	canvas := vgimg.New(7*vg.Inch, vg.Length(len(panels))*2.4*vg.Inch)
	tiles := draw.Tiles{Rows: len(panels), Cols: 1, PadY: vg.Points(10), PadRight: vg.Points(8), PadTop: vg.Points(4), PadBottom: vg.Points(4)}
	for i, row := range plot.Align(plots, tiles, draw.New(canvas)) {
		plots[i][0].Draw(row[0])
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(file); err != nil {
		return err
	}
	return file.Close()
}
