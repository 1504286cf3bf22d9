package report

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"regexp"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A Figure is a chart with its legend beside it.
type Figure struct {
	ID, Title, Caption string
	plot               *plot.Plot
	legend             plot.Legend
	legendWidth        vg.Length
	height             vg.Length
}

const (
	figureWidth   = 7.2 * vg.Inch
	figureHeight  = 3.9 * vg.Inch
	pixelsPerInch = 200
)

// ink is nearly black and used for nothing else: in a page it is replaced by the page's
// text colour.
var ink = color.RGBA{R: 1, G: 2, B: 3, A: 255}

const inkHex = "#010203"

var faint = color.RGBA{R: 136, G: 136, B: 136, A: 255}

// colours are those of Okabe and Ito that are visible on white and on near black and
// distinct for colour-blind readers, and two more. Together with the marks they give 56
// styles.
var colours = []color.RGBA{
	{R: 0x00, G: 0x72, B: 0xb2, A: 255}, // blue
	{R: 0xd5, G: 0x5e, B: 0x00, A: 255}, // vermilion
	{R: 0x00, G: 0x9e, B: 0x73, A: 255}, // green
	{R: 0xcc, G: 0x79, B: 0xa7, A: 255}, // purple
	{R: 0xe6, G: 0x9f, B: 0x00, A: 255}, // orange
	{R: 0x56, G: 0xb4, B: 0xe9, A: 255}, // sky
	{R: 0x88, G: 0x88, B: 0x88, A: 255}, // grey
	{R: 0x99, G: 0x99, B: 0x33, A: 255}, // olive
}

var marks = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{},
	draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{},
}

func colourOf(style int) color.RGBA { return colours[style%len(colours)] }

// markOf differs from the mark of the previous style, and among styles of one colour.
func markOf(style int) draw.GlyphDrawer { return marks[(style+style/len(colours))%len(marks)] }

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// faded is a transparent colour.
func faded(c color.RGBA, alpha uint8) color.Color {
	return color.NRGBA{R: c.R, G: c.G, B: c.B, A: alpha}
}

func sans(size float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)}
}

// newFigure returns an empty figure.
func newFigure(id, title, x, y string) *Figure {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font, p.Title.TextStyle.Color = sans(13), ink
	p.Title.Padding = vg.Points(8)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font, axis.Label.TextStyle.Color = sans(11), ink
		axis.Tick.Label.Font, axis.Tick.Label.Color = sans(10), ink
		axis.Color, axis.Tick.Color = faint, faint
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{}, ticks{}
	p.X.Label.Padding, p.Y.Label.Padding = vg.Points(4), vg.Points(4)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = faded(faint, 60), faded(faint, 60)
	grid.Horizontal.Dashes, grid.Vertical.Dashes = nil, nil
	p.Add(grid)
	legend := plot.NewLegend()
	legend.TextStyle.Font, legend.TextStyle.Color = sans(10), ink
	legend.Top, legend.Left = true, true
	legend.Padding = vg.Points(3)
	legend.ThumbnailWidth = vg.Points(26)
	return &Figure{ID: id, Title: title, plot: p, legend: legend, height: figureHeight}
}

// entry adds a line to the legend.
func (f *Figure) entry(name string, thumbs ...plot.Thumbnailer) {
	f.legend.Add(name, thumbs...)
	width := f.legend.TextStyle.Width(name) + f.legend.ThumbnailWidth + vg.Points(24)
	f.legendWidth = max(f.legendWidth, width)
	f.height = max(f.height, f.legend.Rectangle(draw.Canvas{}).Size().Y+vg.Points(40))
}

func (f *Figure) draw(c draw.Canvas) {
	f.plot.Draw(draw.Crop(c, vg.Points(4), -f.legendWidth-vg.Points(6), vg.Points(4), -vg.Points(6)))
	if f.legendWidth > 0 {
		f.legend.Draw(draw.Crop(c, figureWidth-f.legendWidth+vg.Points(8), 0, 0, -vg.Points(28)))
	}
}

// PNG is the figure on a white background.
func (f *Figure) PNG() ([]byte, error) {
	f.plot.BackgroundColor, f.plot.Title.Text = nil, f.Title
	c := vgimg.NewWith(vgimg.UseWH(figureWidth, f.height), vgimg.UseDPI(pixelsPerInch), vgimg.UseBackgroundColor(color.White))
	f.draw(draw.New(c))
	var out bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: c}).WriteTo(&out); err != nil {
		return nil, fmt.Errorf("report: figure %s: %w", f.ID, err)
	}
	return out.Bytes(), nil
}

// SVG is the figure on a white background, as a file.
func (f *Figure) SVG() ([]byte, error) {
	svg, err := f.vector(f.Title)
	if err != nil {
		return nil, err
	}
	start := strings.Index(svg, "<g ")
	return []byte(svg[:start] + `<rect width="100%" height="100%" fill="#ffffff"/>` + "\n" + svg[start:]), nil
}

// Inline is the figure as an element of a page that has its own heading: without a
// background, and with the page's text colour.
func (f *Figure) Inline() (string, error) {
	svg, err := f.vector("")
	if err != nil {
		return "", err
	}
	svg = svg[strings.Index(svg, "<svg"):]
	svg = strings.ReplaceAll(svg, inkHex, "currentColor")
	return fmt.Sprintf(`<svg role="img" aria-label="%s" `, html.EscapeString(f.Title)) + strings.TrimPrefix(svg, "<svg "), nil
}

func (f *Figure) vector(title string) (string, error) {
	f.plot.BackgroundColor, f.plot.Title.Text = nil, title
	c := vgsvg.New(figureWidth, f.height)
	f.draw(draw.New(c))
	var out bytes.Buffer
	if _, err := c.WriteTo(&out); err != nil {
		return "", fmt.Errorf("report: figure %s: %w", f.ID, err)
	}
	return fitTexts(out.String()), nil
}

var textElement = regexp.MustCompile(`(?s)<text (.*?font-size:([0-9.]+)px.*?)>(.*?)</text>`)

// fitTexts fixes the width of each text, because a reader's font may be wider than the
// one used for layout.
func fitTexts(svg string) string {
	return textElement.ReplaceAllStringFunc(svg, func(element string) string {
		m := textElement.FindStringSubmatch(element)
		size, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return element
		}
		style := text.Style{Font: sans(size), Handler: plot.DefaultTextHandler}
		width := style.Width(html.UnescapeString(m[3])).Points()
		return fmt.Sprintf(`<text textLength="%.1f" lengthAdjust="spacingAndGlyphs" %s>%s</text>`, width, m[1], m[3])
	})
}
