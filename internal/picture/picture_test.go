package picture_test

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"math"
	"testing"

	"github.com/stein-rl/stein/internal/picture"
)

func scene() picture.Scene {
	return picture.Scene{
		Title:      "normal",
		LogDensity: func(x, y float64) float64 { return -0.5 * (x*x + y*y) },
		Left:       -4, Right: 4, Bottom: -4, Top: 4, Size: 240,
	}
}

func isInk(c color.Color) bool {
	r, g, b, _ := c.RGBA()
	return r>>8 > 190 && g>>8 < 110 && b>>8 < 80
}

// centre is where the particles' colour is, in parts of the picture.
func centre(t *testing.T, img image.Image) (x, y float64) {
	t.Helper()
	var n int
	box := img.Bounds()
	for j := box.Min.Y; j < box.Max.Y; j++ {
		for i := box.Min.X; i < box.Max.X; i++ {
			if isInk(img.At(i, j)) {
				x, y, n = x+float64(i), y+float64(j), n+1
			}
		}
	}
	if n == 0 {
		t.Fatal("no particle in the picture")
	}
	return x / float64(n*box.Dx()), y / float64(n*box.Dy())
}

// Ensure that a picture shows the particles where they are and the density, and
// that those outside the box or nowhere are left out.
func TestPNG(t *testing.T) {
	var file bytes.Buffer
	f := picture.Frame{X: []float64{3, 3.1, 1e9, math.NaN()}, Y: []float64{3, 3.1, 0, 0}, Note: "step 1"}
	if err := scene().WritePNG(&file, f); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&file)
	if err != nil {
		t.Fatal(err)
	}
	if size := img.Bounds(); size.Dx() != 240 || size.Dy() != 240 {
		t.Errorf("size %v", size)
	}
	if x, y := centre(t, img); x < 0.8 || y > 0.35 {
		t.Errorf("particles at (%.2f, %.2f) of the picture, want the upper right", x, y)
	}
	dark := 0
	for j := range 240 {
		for i := range 240 {
			if r, g, b, _ := img.At(i, j).RGBA(); b > g && g > r && r>>8 < 80 {
				dark++
			}
		}
	}
	if dark < 200 {
		t.Errorf("%d pixels of high density", dark)
	}
}

// Ensure that an animation has its frames in order and ends on a rest.
func TestGIF(t *testing.T) {
	var file bytes.Buffer
	frames := []picture.Frame{{X: []float64{-3}, Y: []float64{0}}, {X: []float64{0}, Y: []float64{0}}, {X: []float64{3}, Y: []float64{0}}}
	if err := scene().WriteGIF(&file, frames, 5); err != nil {
		t.Fatal(err)
	}
	movie, err := gif.DecodeAll(&file)
	if err != nil {
		t.Fatal(err)
	}
	if len(movie.Image) != 3 || movie.Delay[0] != 5 || movie.Delay[2] != 200 {
		t.Fatalf("%d frames, delays %v", len(movie.Image), movie.Delay)
	}
	last := 0.0
	for i, img := range movie.Image {
		x, _ := centre(t, img)
		if x <= last+0.1 {
			t.Errorf("frame %d: the particle at %.2f after %.2f", i, x, last)
		}
		last = x
	}
}

func TestErrors(t *testing.T) {
	var file bytes.Buffer
	if err := scene().WriteGIF(&file, nil, 5); err == nil {
		t.Error("no frames: no error")
	}
	if err := scene().WritePNG(&file, picture.Frame{X: []float64{1}}); err == nil {
		t.Error("one x, no y: no error")
	}
	empty := scene()
	empty.Left = empty.Right
	if err := empty.WritePNG(&file, picture.Frame{}); err == nil {
		t.Error("empty box: no error")
	}
}
