package picture

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// A Path is the trajectory of a point in the plane.
type Path struct{ X, Y []float64 }

// A Map shows trajectories in the plane and marks places.
type Map struct {
	Title            string
	Left, Right      float64 // the visible box; all zero: fit the paths
	Bottom, Top      float64
	Paths            []Path
	PlacesX, PlacesY []float64
	Size             int // pixels, width and height; 0: 480
}

var (
	wayColour   = color.RGBA{66, 146, 198, 90}
	placeColour = color.RGBA{0, 158, 115, 255}
)

// Draw draws trajectories as thin lines with a dot at the end, and places as rings.
func (m Map) Draw() (image.Image, error) {
	p := plot.New()
	p.Title.Text = m.Title
	ends := make(plotter.XYs, 0, len(m.Paths))
	for i, path := range m.Paths {
		if len(path.X) != len(path.Y) || len(path.X) == 0 {
			return nil, fmt.Errorf("picture: path %d has %d x and %d y", i, len(path.X), len(path.Y))
		}
		points := make(plotter.XYs, len(path.X))
		for j := range points {
			points[j] = plotter.XY{X: path.X[j], Y: path.Y[j]}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("picture: path %d: %w", i, err)
		}
		line.Color, line.Width = wayColour, vg.Points(1)
		p.Add(line)
		ends = append(ends, points[len(points)-1])
	}
	if err := dots(p, ends, vgdraw.GlyphStyle{Color: ink, Radius: vg.Points(2), Shape: vgdraw.CircleGlyph{}}); err != nil {
		return nil, err
	}
	places := make(plotter.XYs, len(m.PlacesX))
	for i := range places {
		places[i] = plotter.XY{X: m.PlacesX[i], Y: m.PlacesY[i]}
	}
	if err := dots(p, places, vgdraw.GlyphStyle{Color: placeColour, Radius: vg.Points(8), Shape: vgdraw.RingGlyph{}}); err != nil {
		return nil, err
	}
	if m.Left < m.Right && m.Bottom < m.Top {
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = m.Left, m.Right, m.Bottom, m.Top
	}
	return paint(p, m.Size), nil
}

// dots adds points of one style; an empty slice adds nothing.
func dots(p *plot.Plot, at plotter.XYs, style vgdraw.GlyphStyle) error {
	if len(at) == 0 {
		return nil
	}
	s, err := plotter.NewScatter(at)
	if err != nil {
		return fmt.Errorf("picture: %w", err)
	}
	s.GlyphStyle = style
	p.Add(s)
	return nil
}

// paint renders a plot on a square of size pixels.
func paint(p *plot.Plot, size int) image.Image {
	if size == 0 {
		size = 480
	}
	side := vg.Length(size) * vg.Inch / vgimg.DefaultDPI
	canvas := vgimg.New(side, side)
	p.Draw(vgdraw.New(canvas))
	return canvas.Image()
}

// Tile arranges images in a grid with the given number of columns.
func Tile(pictures []image.Image, columns int) image.Image {
	width, height := 0, 0
	for _, img := range pictures {
		width, height = max(width, img.Bounds().Dx()), max(height, img.Bounds().Dy())
	}
	columns = min(columns, len(pictures))
	rows := (len(pictures) + columns - 1) / columns
	sheet := image.NewRGBA(image.Rect(0, 0, columns*width, rows*height))
	draw.Draw(sheet, sheet.Bounds(), image.White, image.Point{}, draw.Src)
	for i, img := range pictures {
		corner := image.Pt(i%columns*width, i/columns*height)
		draw.Draw(sheet, image.Rectangle{corner, corner.Add(img.Bounds().Size())}, img, img.Bounds().Min, draw.Src)
	}
	return sheet
}
