package picture_test

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"math"
	"testing"

	"github.com/stein-rl/stein/internal/picture"
)

// tiles are small pictures of one colour each.
func tiles(colours ...color.RGBA) []image.Image {
	var list []image.Image
	for _, c := range colours {
		img := image.NewRGBA(image.Rect(0, 0, 2, 3))
		for i := range 6 {
			img.SetRGBA(i%2, i/2, c)
		}
		list = append(list, img)
	}
	return list
}

var red, green, blue, white = color.RGBA{200, 0, 0, 255}, color.RGBA{0, 180, 0, 255}, color.RGBA{0, 0, 220, 255}, color.RGBA{255, 255, 255, 255}

func at(img image.Image, x, y int) color.RGBA {
	return color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
}

// Ensure that every picture stands in its place, magnified, with white between.
func TestGrid(t *testing.T) {
	sheet := picture.Grid(tiles(red, green, blue), 2, 4)
	if size := sheet.Bounds().Size(); size != image.Pt(2*8+2, 2*12+2) {
		t.Errorf("size %v", size)
	}
	for _, c := range []struct {
		x, y int
		want color.RGBA
	}{{0, 0, red}, {7, 11, red}, {8, 0, white}, {10, 0, green}, {17, 11, green}, {0, 12, white}, {0, 14, blue}, {7, 25, blue}, {10, 14, white}} {
		if got := at(sheet, c.x, c.y); got != c.want {
			t.Errorf("pixel %d,%d is %v, want %v", c.x, c.y, got, c.want)
		}
	}
}

// Ensure that neighbours stand in the row of their picture.
func TestBeside(t *testing.T) {
	sheet := picture.Beside(tiles(red, blue), [][]image.Image{tiles(green, blue), tiles(green)}, 1)
	if size := sheet.Bounds().Size(); size != image.Pt(2+8+2+2+2, 3+2+3) {
		t.Errorf("size %v", size)
	}
	for _, c := range []struct {
		x, y int
		want color.RGBA
	}{{0, 0, red}, {2, 0, white}, {10, 0, green}, {14, 2, blue}, {0, 5, blue}, {10, 5, green}, {14, 5, white}} {
		if got := at(sheet, c.x, c.y); got != c.want {
			t.Errorf("pixel %d,%d is %v, want %v", c.x, c.y, got, c.want)
		}
	}
}

// Ensure that frames of few colours keep them exactly, and those of many nearly.
func TestWriteAnimation(t *testing.T) {
	many := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for y := range 64 {
		for x := range 64 {
			many.SetRGBA(x, y, color.RGBA{uint8(4 * x), uint8(4 * y), uint8(2 * (x + y)), 255})
		}
	}
	few := picture.Grid(tiles(red, green, blue), 3, 1)
	for name, c := range map[string]struct {
		frames []image.Image
		within float64 // mean difference of a channel
	}{"few": {[]image.Image{few, few, few}, 0}, "many": {[]image.Image{many, many}, 6}} {
		var file bytes.Buffer
		if err := picture.WriteAnimation(&file, c.frames, 10); err != nil {
			t.Fatal(err)
		}
		movie, err := gif.DecodeAll(&file)
		if err != nil {
			t.Fatal(err)
		}
		if len(movie.Image) != len(c.frames) || movie.Delay[0] != 10 || movie.Delay[len(c.frames)-1] != 200 {
			t.Fatalf("%s: %d frames, delays %v", name, len(movie.Image), movie.Delay)
		}
		box, sum := c.frames[0].Bounds(), 0.
		for y := range box.Dy() {
			for x := range box.Dx() {
				a, b := at(c.frames[0], x, y), at(movie.Image[0], x, y)
				sum += math.Abs(float64(a.R)-float64(b.R)) + math.Abs(float64(a.G)-float64(b.G)) + math.Abs(float64(a.B)-float64(b.B))
			}
		}
		if mean := sum / float64(3*box.Dx()*box.Dy()); mean > c.within {
			t.Errorf("%s: colours %.2f away, want at most %g", name, mean, c.within)
		}
	}
	if picture.WriteAnimation(&bytes.Buffer{}, nil, 10) == nil {
		t.Error("an animation of no frames")
	}
}

// Ensure that a histogram has its groups' colours where their values are, and that
// values that are not finite do not stop it.
func TestHistogram(t *testing.T) {
	var low, high []float64
	for i := range 200 {
		low, high = append(low, float64(i%20)/20), append(high, 9+float64(i%20)/20)
	}
	img, err := picture.Histogram{Title: "energies", Label: "f", Groups: []picture.Group{
		{Name: "data", Values: append(low, math.NaN())}, {Name: "samples", Values: high},
	}}.Draw()
	if err != nil {
		t.Fatal(err)
	}
	// plotutil.DarkColors begin with a red and a green.
	var sums, counts [2]int
	for y := 100; y < 400; y++ { // below the legend
		for x := range 480 {
			c := at(img, x, y)
			switch {
			case c.R > 180 && c.G < 100:
				sums[0], counts[0] = sums[0]+x, counts[0]+1
			case c.G > 110 && c.R < 100:
				sums[1], counts[1] = sums[1]+x, counts[1]+1
			}
		}
	}
	if counts[0] == 0 || counts[1] == 0 || sums[0]/counts[0] > 200 || sums[1]/counts[1] < 280 {
		t.Errorf("colours at %v of %v pixels", sums, counts)
	}
	if _, err := (picture.Histogram{Groups: []picture.Group{{Name: "x", Values: []float64{math.NaN()}}}}).Draw(); err == nil {
		t.Error("a histogram of nothing is drawn")
	}
}
