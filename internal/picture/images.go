package picture

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"io"
	"math"
	"slices"

	"golang.org/x/image/draw"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// gap separates images of a grid, in pixels; wide follows the first image of Beside.
const gap, wide = 2, 8

// Grid arranges images of equal size in columns, each magnified zoom times without
// smoothing.
func Grid(pictures []image.Image, columns, zoom int) image.Image {
	if len(pictures) == 0 {
		return image.NewRGBA(image.Rect(0, 0, 1, 1))
	}
	columns, zoom = max(1, min(columns, len(pictures))), max(1, zoom)
	size := pictures[0].Bounds().Size().Mul(zoom)
	rows := (len(pictures) + columns - 1) / columns
	sheet := white(columns*(size.X+gap)-gap, rows*(size.Y+gap)-gap)
	for i, img := range pictures {
		magnify(sheet, image.Pt(i%columns*(size.X+gap), i/columns*(size.Y+gap)), img, zoom)
	}
	return sheet
}

// Beside draws a row per image: the image, a wider gap, and its neighbours.
func Beside(pictures []image.Image, neighbours [][]image.Image, zoom int) image.Image {
	if len(pictures) == 0 {
		return image.NewRGBA(image.Rect(0, 0, 1, 1))
	}
	zoom = max(1, zoom)
	size := pictures[0].Bounds().Size().Mul(zoom)
	most := 0
	for _, row := range neighbours {
		most = max(most, len(row))
	}
	sheet := white(size.X+wide+most*(size.X+gap)-gap, len(pictures)*(size.Y+gap)-gap)
	for i, img := range pictures {
		magnify(sheet, image.Pt(0, i*(size.Y+gap)), img, zoom)
		if i >= len(neighbours) {
			continue
		}
		for j, near := range neighbours[i] {
			magnify(sheet, image.Pt(size.X+wide+j*(size.X+gap), i*(size.Y+gap)), near, zoom)
		}
	}
	return sheet
}

func white(width, height int) *image.RGBA {
	sheet := image.NewRGBA(image.Rect(0, 0, max(1, width), max(1, height)))
	draw.Draw(sheet, sheet.Bounds(), image.White, image.Point{}, draw.Src)
	return sheet
}

func magnify(sheet draw.Image, corner image.Point, img image.Image, zoom int) {
	to := image.Rectangle{corner, corner.Add(img.Bounds().Size().Mul(zoom))}
	draw.NearestNeighbor.Scale(sheet, to, img, img.Bounds(), draw.Over, nil)
}

// EncodePNG encodes an image as a PNG file.
func EncodePNG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("picture: %w", err)
	}
	return b.Bytes(), nil
}

// WriteAnimation writes an animated GIF, hundredths of a second per frame; the last frame
// lasts two seconds. All frames share the 256 best colours.
func WriteAnimation(w io.Writer, frames []image.Image, hundredths int) error {
	if len(frames) == 0 {
		return fmt.Errorf("picture: an animation needs at least one frame")
	}
	colours := newPalette(bestColours(frames))
	movie := &gif.GIF{}
	for _, f := range frames {
		movie.Image = append(movie.Image, colours.flatten(f))
	}
	return encode(w, movie, hundredths)
}

// bestColours repeatedly splits the box of colours with the largest spread at its median
// until there are 256 boxes, and returns their means (median cut; Heckbert 1982).
func bestColours(frames []image.Image) color.Palette {
	counts := map[color.RGBA]int{}
	for _, f := range frames {
		box := f.Bounds()
		for y := box.Min.Y; y < box.Max.Y; y++ {
			for x := box.Min.X; x < box.Max.X; x++ {
				counts[color.RGBAModel.Convert(f.At(x, y)).(color.RGBA)]++
			}
		}
	}
	all := make([]counted, 0, len(counts))
	for c, n := range counts {
		all = append(all, counted{[3]uint8{c.R, c.G, c.B}, n})
	}
	// Map order is random; sort, so that equal frames give equal files.
	slices.SortFunc(all, func(a, b counted) int { return slices.Compare(a.rgb[:], b.rgb[:]) })
	boxes := [][]counted{all}
	for len(boxes) < 256 {
		widest, axis, spread := -1, 0, uint8(0)
		for i, box := range boxes {
			for a := range 3 {
				if s := extent(box, a); s > spread {
					widest, axis, spread = i, a, s
				}
			}
		}
		if widest < 0 { // no box can be split further
			break
		}
		low, high := cut(boxes[widest], axis)
		boxes[widest] = low
		boxes = append(boxes, high)
	}
	p := make(color.Palette, len(boxes))
	for i, box := range boxes {
		var sum [3]int
		n := 0
		for _, c := range box {
			n += c.n
			for a := range 3 {
				sum[a] += c.n * int(c.rgb[a])
			}
		}
		p[i] = color.RGBA{uint8((sum[0] + n/2) / n), uint8((sum[1] + n/2) / n), uint8((sum[2] + n/2) / n), 255}
	}
	return p
}

// A counted is a colour and its number of pixels.
type counted struct {
	rgb [3]uint8
	n   int
}

func extent(box []counted, axis int) uint8 {
	lo, hi := uint8(255), uint8(0)
	for _, c := range box {
		lo, hi = min(lo, c.rgb[axis]), max(hi, c.rgb[axis])
	}
	return max(hi, lo) - min(hi, lo)
}

// cut splits a box along an axis so that each side has about half of the pixels.
func cut(box []counted, axis int) (low, high []counted) {
	slices.SortStableFunc(box, func(a, b counted) int { return cmp.Compare(a.rgb[axis], b.rgb[axis]) })
	total := 0
	for _, c := range box {
		total += c.n
	}
	at, n := 0, 0
	for at < len(box)-1 && (2*n < total || at == 0) {
		n += box[at].n
		at++
	}
	return box[:at], box[at:]
}

// A Histogram compares the distributions of several groups of values, such as energies of
// data and of samples.
type Histogram struct {
	Title, Label string // of the whole; of the axis of values
	Groups       []Group
	Size         int // pixels; 0: 480
}

// A Group is one group of values and its name in the legend.
type Group struct {
	Name   string
	Values []float64
}

// Draw draws each group's fractions in common bins. Values that are not finite are
// omitted and counted in the legend.
func (h Histogram) Draw() (image.Image, error) {
	const bins = 40
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = h.Title, h.Label, "share"
	p.Legend.Top = true
	lo, hi := math.Inf(1), math.Inf(-1)
	finite := make([][]float64, len(h.Groups))
	for i, g := range h.Groups {
		for _, v := range g.Values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				finite[i] = append(finite[i], v)
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if lo > hi {
		return nil, fmt.Errorf("picture: a histogram needs at least one finite value")
	}
	if lo == hi {
		lo, hi = lo-0.5, hi+0.5
	}
	width := (hi - lo) / bins
	for i, g := range h.Groups {
		shares := make([]float64, bins)
		for _, v := range finite[i] {
			shares[min(int((v-lo)/width), bins-1)] += 1 / float64(len(finite[i]))
		}
		line, err := plotter.NewLine(steps(lo, width, shares))
		if err != nil {
			return nil, fmt.Errorf("picture: %w", err)
		}
		line.Color, line.Width = plotutil.DarkColors[i%len(plotutil.DarkColors)], vg.Points(1.5)
		p.Add(line)
		name := g.Name
		if left := len(g.Values) - len(finite[i]); left > 0 {
			name = fmt.Sprintf("%s (%d not finite)", name, left)
		}
		p.Legend.Add(name, line)
	}
	return paint(p, h.Size), nil
}

// steps is the outline of the bars.
func steps(lo, width float64, heights []float64) plotter.XYs {
	line := plotter.XYs{{X: lo}}
	for i, y := range heights {
		left := lo + float64(i)*width
		line = append(line, plotter.XY{X: left, Y: y}, plotter.XY{X: left + width, Y: y})
	}
	return append(line, plotter.XY{X: lo + float64(len(heights))*width})
}
