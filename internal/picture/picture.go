// Package picture draws particles on a two-dimensional density, as PNG images and
// animated GIFs, and trajectories in the plane.
package picture

import (
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"io"
	"math"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A Scene is the static part of all frames.
type Scene struct {
	Title      string
	LogDensity func(x, y float64) float64
	Left       float64 // the visible box
	Right      float64
	Bottom     float64
	Top        float64
	Size       int // pixels, width and height; 0: 480
}

// A Frame is the positions of the particles at one moment, with a caption.
type Frame struct {
	X, Y []float64
	Note string
}

const cells = 160 // of the density grid, per axis

// shades are the colours from zero density to the maximum.
var shades = blend(200, color.RGBA{255, 255, 255, 255}, color.RGBA{198, 219, 239, 255}, color.RGBA{66, 146, 198, 255}, color.RGBA{8, 48, 107, 255})

var ink = color.RGBA{214, 69, 26, 255}

// Draw draws one frame.
func (s Scene) Draw(f Frame) (image.Image, error) {
	if len(f.X) != len(f.Y) {
		return nil, fmt.Errorf("picture: got %d x and %d y coordinates", len(f.X), len(f.Y))
	}
	if !(s.Left < s.Right && s.Bottom < s.Top) {
		return nil, fmt.Errorf("picture: the box [%g, %g] × [%g, %g] is empty", s.Left, s.Right, s.Bottom, s.Top)
	}
	p := plot.New()
	p.Title.Text = s.Title
	if f.Note != "" {
		p.Title.Text += "\n" + f.Note
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = s.Left, s.Right, s.Bottom, s.Top

	heat := plotter.NewHeatMap(s.grid(), shades)
	heat.Rasterized = true
	p.Add(heat)

	points := make(plotter.XYs, 0, len(f.X))
	for i := range f.X {
		// Skip particles outside the box or not finite: they would be drawn over the
		// axes.
		if inside(f.X[i], s.Left, s.Right) && inside(f.Y[i], s.Bottom, s.Top) {
			points = append(points, plotter.XY{X: f.X[i], Y: f.Y[i]})
		}
	}
	if err := dots(p, points, draw.GlyphStyle{Color: ink, Radius: vg.Points(2.5), Shape: draw.CircleGlyph{}}); err != nil {
		return nil, err
	}
	return paint(p, s.Size), nil
}

func inside(x, lo, hi float64) bool { return x >= lo && x <= hi }

// WritePNG draws one frame and writes it to w.
func (s Scene) WritePNG(w io.Writer, f Frame) error {
	img, err := s.Draw(f)
	if err != nil {
		return err
	}
	if err := png.Encode(w, img); err != nil {
		return fmt.Errorf("picture: %w", err)
	}
	return nil
}

// WriteGIF draws an animation, hundredths of a second per frame; the last frame lasts two
// seconds.
func (s Scene) WriteGIF(w io.Writer, frames []Frame, hundredths int) error {
	if len(frames) == 0 {
		return fmt.Errorf("picture: an animation needs at least one frame")
	}
	movie := &gif.GIF{}
	colours := newPalette(animationPalette())
	for _, f := range frames {
		img, err := s.Draw(f)
		if err != nil {
			return err
		}
		movie.Image = append(movie.Image, colours.flatten(img))
	}
	return encode(w, movie, hundredths)
}

// encode writes drawn frames, hundredths of a second each; the last one lasts two
// seconds.
func encode(w io.Writer, movie *gif.GIF, hundredths int) error {
	for range movie.Image {
		movie.Delay = append(movie.Delay, hundredths)
	}
	movie.Delay[len(movie.Delay)-1] = 200
	if err := gif.EncodeAll(w, movie); err != nil {
		return fmt.Errorf("picture: %w", err)
	}
	return nil
}

// A palette finds the nearest of its colours and caches the result: a frame has few
// colours, and searching 256 is slow.
type palette struct {
	colours color.Palette
	nearest map[color.Color]uint8
}

func newPalette(colours color.Palette) *palette {
	return &palette{colours, map[color.Color]uint8{}}
}

func (p *palette) flatten(img image.Image) *image.Paletted {
	box := img.Bounds()
	flat := image.NewPaletted(box, p.colours)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			c := img.At(x, y)
			i, ok := p.nearest[c]
			if !ok {
				i = uint8(p.colours.Index(c))
				p.nearest[c] = i
			}
			flat.SetColorIndex(x, y, i)
		}
	}
	return flat
}

// Save creates a file and passes it to write.
func Save(path string, write func(io.Writer) error) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("picture: %w", err)
	}
	defer func() {
		if e := file.Close(); err == nil && e != nil {
			err = fmt.Errorf("picture: %w", e)
		}
	}()
	return write(file)
}

// grid evaluates the density on the box, scaled to a maximum of 1.
func (s Scene) grid() *grid {
	g := &grid{scene: s}
	top := math.Inf(-1)
	for i := range cells {
		for j := range cells {
			v := s.LogDensity(g.X(i), g.Y(j))
			g.z[i][j] = v
			if !math.IsNaN(v) {
				top = max(top, v)
			}
		}
	}
	for i := range cells {
		for j := range cells {
			z := math.Exp(g.z[i][j] - top)
			if math.IsNaN(z) {
				z = 0
			}
			g.z[i][j] = z
		}
	}
	return g
}

type grid struct {
	scene Scene
	z     [cells][cells]float64
}

func (g *grid) Dims() (c, r int)   { return cells, cells }
func (g *grid) Z(c, r int) float64 { return g.z[c][r] }
func (g *grid) X(c int) float64 {
	return g.scene.Left + (float64(c)+0.5)/cells*(g.scene.Right-g.scene.Left)
}
func (g *grid) Y(r int) float64 {
	return g.scene.Bottom + (float64(r)+0.5)/cells*(g.scene.Top-g.scene.Bottom)
}

type colourScale []color.Color

func (c colourScale) Colors() []color.Color { return c }

// blend interpolates the stops in n even steps.
func blend(n int, stops ...color.RGBA) colourScale {
	scale := make(colourScale, n)
	for i := range scale {
		at := float64(i) / float64(n-1) * float64(len(stops)-1)
		k := min(int(at), len(stops)-2)
		part := at - float64(k)
		mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + part*(float64(b)-float64(a)))) }
		a, b := stops[k], stops[k+1]
		scale[i] = color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
	}
	return scale
}

// animationPalette has the shades of the density and of the particles' soft edges, and
// greys for the text: 200 + 31 + 25.
func animationPalette() color.Palette {
	var p color.Palette
	p = append(p, shades...)
	p = append(p, blend(16, color.RGBA{255, 255, 255, 255}, ink)...)
	p = append(p, blend(15, color.RGBA{66, 146, 198, 255}, ink)...)
	return append(p, blend(25, color.RGBA{0, 0, 0, 255}, color.RGBA{255, 255, 255, 255})...)
}
