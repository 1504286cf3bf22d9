package dataset

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func open(t *testing.T, split string) *Images {
	t.Helper()
	m, err := Open(t.Context(), Source{Name: "fashion-mnist", Path: fashion, Split: split})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Ensure that bytes go to floats and back without loss, noise or not.
func TestFloatsAndBack(t *testing.T) {
	m := open(t, "test")
	for name, a := range map[string]Augment{"middles": {}, "noise": {Noise: true}} {
		x := make([]float32, len(m.Pixels))
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range m.Len() {
			m.float(x[i*m.Size():(i+1)*m.Size()], i, rng, a)
		}
		if lo, hi := slices.Min(x), slices.Max(x); lo < -1 || hi >= 1 {
			t.Errorf("%s: values from %g to %g", name, lo, hi)
		}
		back, err := FromFloats("back", x, 28, 28, 1)
		if err != nil {
			t.Fatal(err)
		}
		if back.Key() != m.Key() {
			t.Errorf("%s: other bytes came back", name)
		}
	}
	if _, err := FromFloats("x", []float32{0, float32(math.NaN())}, 1, 1, 1); err == nil || !strings.Contains(err.Error(), "image 1") {
		t.Errorf("a value that is no number: %v", err)
	}
	if _, err := FromFloats("x", make([]float32, 5), 2, 1, 1); err == nil {
		t.Error("half a picture is accepted")
	}
}

// Ensure that the noise is even over a step of 1/128, and that batches depend on the
// seed alone.
func TestDraw(t *testing.T) {
	m := &Images{Height: 2, Width: 2, Channels: 1, Pixels: []byte{128, 128, 128, 128}}
	draw := func(seed uint64) []float32 {
		x := make([]float32, 40000)
		m.Draw(x, rand.New(rand.NewPCG(seed, 0)), Augment{Flip: true, Noise: true})
		return x
	}
	x := draw(1)
	var mean, square float64
	for _, v := range x {
		mean += float64(v) / float64(len(x))
		square += float64(v) * float64(v) / float64(len(x))
	}
	const step = 1. / 128
	variance := square - mean*mean
	if math.Abs(mean-step/2) > 1e-4 || math.Abs(variance/(step*step/12)-1) > 0.05 {
		t.Errorf("mean %g, want %g; variance %g, want %g", mean, step/2, variance, step*step/12)
	}
	if !slices.Equal(x, draw(1)) || slices.Equal(x, draw(2)) {
		t.Error("a batch is not what its seed says")
	}
}

// Ensure that about half of the pictures are mirrored, channels left in their order,
// and that nothing else happens to them.
func TestFlip(t *testing.T) {
	m := &Images{Height: 1, Width: 2, Channels: 3, Pixels: []byte{1, 2, 3, 4, 5, 6}}
	x := make([]float32, 6*2000)
	m.Draw(x, rand.New(rand.NewPCG(3, 0)), Augment{Flip: true})
	var mirrored int
	for at := 0; at < len(x); at += 6 {
		got, err := FromFloats("one", x[at:at+6], 1, 2, 3)
		switch {
		case err != nil:
			t.Fatal(err)
		case bytes.Equal(got.Pixels, []byte{4, 5, 6, 1, 2, 3}):
			mirrored++
		case !bytes.Equal(got.Pixels, m.Pixels):
			t.Fatalf("neither the picture nor its mirror: %v", got.Pixels)
		}
	}
	if mirrored < 900 || mirrored > 1100 {
		t.Errorf("%d of 2000 mirrored", mirrored)
	}
}

// Ensure that averaging keeps the mean where sides divide, and weighs by area where
// they do not.
func TestShrink(t *testing.T) {
	m := &Images{Height: 4, Width: 4, Channels: 1, Pixels: []byte{
		0, 10, 100, 100,
		20, 30, 100, 100,
		7, 7, 0, 0,
		7, 7, 0, 200,
	}}
	half, err := m.shrink(2)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{15, 100, 7, 50}; !bytes.Equal(half.Pixels, want) {
		t.Errorf("%v, want %v", half.Pixels, want)
	}
	// Four to three: the first takes one and a third.
	row := &Images{Height: 4, Width: 4, Channels: 1, Pixels: bytes.Repeat([]byte{0, 120, 240, 60}, 4)}
	third, err := row.shrink(3)
	if err != nil {
		t.Fatal(err)
	}
	if want := bytes.Repeat([]byte{30, 180, 105}, 3); !bytes.Equal(third.Pixels, want) {
		t.Errorf("%v, want %v", third.Pixels, want)
	}
	if _, err := m.shrink(8); err == nil {
		t.Error("averaging makes pictures larger")
	}
}

// Ensure that nearest neighbours are those of a full search.
func TestNearest(t *testing.T) {
	train, test := open(t, "train"), open(t, "test").Slice(0, 20)
	near, err := test.Nearest(t.Context(), train, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i := range test.Len() {
		all := make([]int, train.Len())
		for j := range all {
			for k := range test.Size() {
				d := int(test.Pixels[i*784+k]) - int(train.Pixels[j*784+k])
				all[j] += d * d
			}
		}
		sorted := slices.Sorted(slices.Values(all))
		for k, j := range near[i] {
			if all[j] != sorted[k] {
				t.Errorf("picture %d: neighbour %d is at %d, want %d", i, k, all[j], sorted[k])
			}
		}
	}
	self, err := train.Nearest(t.Context(), train, 1)
	if err != nil || self[17][0] != 17 {
		t.Errorf("a picture's nearest is %v (%v)", self[17], err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := test.Nearest(cancelled, train, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Ensure that folders are read in the order of their names, brought to one size,
// grey only when all are, and that what is no picture is named.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	grey := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range grey.Pix {
		grey.Pix[i] = byte(i)
	}
	save(t, filepath.Join(dir, "a.png"), func(b *bytes.Buffer) error { return png.Encode(b, grey) })
	m, err := Open(t.Context(), Source{Name: "folder", Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	if m.Channels != 1 || !bytes.Equal(m.Pixels, grey.Pix) {
		t.Errorf("%d channels, pixels %v", m.Channels, m.Pixels)
	}
	red := image.NewNRGBA(image.Rect(0, 0, 30, 20))
	for i := range red.Pix {
		red.Pix[i] = []byte{255, 0, 0, 255}[i%4]
	}
	save(t, filepath.Join(dir, "b", "c.JPG"), func(b *bytes.Buffer) error { return jpeg.Encode(b, red, nil) })
	if _, err := Open(t.Context(), Source{Name: "folder", Path: dir}); err == nil || !strings.Contains(err.Error(), "c.JPG is 30×20") {
		t.Errorf("two sizes: %v", err)
	}
	m, err = Open(t.Context(), Source{Name: "folder", Path: dir, Size: 8})
	if err != nil {
		t.Fatal(err)
	}
	if m.Len() != 2 || m.Channels != 3 {
		t.Fatalf("%d pictures with %d channels", m.Len(), m.Channels)
	}
	if p := m.Pixels[3*9 : 3*9+3]; !bytes.Equal(p, []byte{9, 9, 9}) {
		t.Errorf("grey pixel 9 as colours: %v", p)
	}
	if p := m.Pixels[m.Size()+90 : m.Size()+93]; p[0] < 245 || p[1] > 10 || p[2] > 10 {
		t.Errorf("a red picture has %v", p)
	}
	clear := image.NewNRGBA(image.Rect(0, 0, 2, 2))
	clear.Set(0, 0, color.NRGBA{0, 0, 0, 255})
	if p := appendPixels(nil, clear, 1); p[0] != 0 || p[1] != 255 {
		t.Errorf("black, then what is transparent: %v", p)
	}
	write(t, filepath.Join(dir, "z.png"), []byte("\x89PNG\r\n\x1a\nnothing more"))
	if _, err := Open(t.Context(), Source{Name: "folder", Path: dir, Size: 8}); err == nil || !strings.Contains(err.Error(), "z.png: before offset") {
		t.Errorf("no picture: %v", err)
	}
	if _, err := Open(t.Context(), Source{Name: "folder", Path: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "no .png") {
		t.Errorf("an empty folder: %v", err)
	}
}

func save(t *testing.T, path string, encode func(*bytes.Buffer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	write(t, path, b.Bytes())
}

// Ensure that names and splits that do not exist are refused.
func TestOpenUnknown(t *testing.T) {
	for _, s := range []Source{{Name: "imagenet"}, {Name: "mnist", Split: "dev"}, {Name: "folder"}} {
		if _, err := Open(t.Context(), s); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}

// Ensure that pictures keep their pixels, and that labels pick.
func TestPicture(t *testing.T) {
	m := open(t, "train")
	g, ok := m.Picture(5).(*image.Gray)
	if !ok || !bytes.Equal(g.Pix, m.Pixels[5*784:6*784]) {
		t.Error("a grey picture is another one")
	}
	boots := m.Of(9)
	if boots.Len() == 0 || slices.ContainsFunc(boots.Labels, func(l int) bool { return l != 9 }) {
		t.Errorf("labels %v", boots.Labels)
	}
	if !bytes.Equal(boots.Pixels[:784], m.Pixels[:784]) {
		t.Error("the first boot is not the first picture")
	}
	c := &Images{Height: 1, Width: 2, Channels: 3, Pixels: []byte{1, 2, 3, 4, 5, 6}}
	if got := c.Picture(0).At(1, 0); got != (color.NRGBA{4, 5, 6, 255}) {
		t.Errorf("pixel %v", got)
	}
}
