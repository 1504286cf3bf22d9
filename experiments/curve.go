package experiments

import (
	"fmt"
	"image/color"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// A drawnSeries is a figure as a curve shows it.
type drawnSeries struct {
	metric, legend string
	color          color.Color
	width          vg.Length
}

// Blue and vermilion of Okabe and Ito: told apart by everybody.
var (
	blue      = color.RGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}
	vermilion = color.RGBA{R: 0xd5, G: 0x5e, A: 0xff}
)

// DrawCurve draws the learning curve of a run folder, returns while training and of
// evaluations over environment steps, into a PNG there, and answers its path.
func DrawCurve(dir, title string) (string, error) {
	return drawCurve(dir, title, "environment steps", "return of an episode", []drawnSeries{
		{"rollout/ep_rew_mean", "training, mean of the last 100", blue, vg.Points(1)},
		{"eval/mean_reward", "evaluation, greedy", vermilion, vg.Points(2)},
	})
}

// DrawImageCurve is DrawCurve for an image model: its distance from the data set over
// updates, whichever was measured.
func DrawImageCurve(dir, title string) (string, error) {
	return drawCurve(dir, title, "updates", "distance from the data set", []drawnSeries{
		{"eval/fd_e0", "FD-E0", vermilion, vg.Points(2)},
		{"eval/fid", "FID", blue, vg.Points(2)},
	})
}

func drawCurve(dir, title, over, of string, series []drawnSeries) (string, error) {
	table, err := ReadTable(dir)
	if err != nil {
		return "", err
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, over, of
	p.X.Min = 0
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	for _, s := range series {
		steps, values := table.Series(s.metric)
		points := make(plotter.XYs, len(steps))
		for i := range steps {
			points[i] = plotter.XY{X: steps[i], Y: values[i]}
		}
		if len(points) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return "", fmt.Errorf("experiments: drawing %s: %w", s.metric, err)
		}
		line.Color, line.Width, dots.Color = s.color, s.width, s.color
		dots.Radius = s.width
		p.Add(line, dots)
		p.Legend.Add(s.legend, line)
	}
	path := filepath.Join(dir, curveName)
	if err := p.Save(7*vg.Inch, 4*vg.Inch, path); err != nil {
		return "", fmt.Errorf("experiments: drawing %s: %w", path, err)
	}
	return path, nil
}
