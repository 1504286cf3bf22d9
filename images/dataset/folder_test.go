package dataset

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stein-rl/stein/internal/picture"
)

// Ensure that hidden files are no pictures, and that links are followed: the folder
// itself, folders and files in it, each folder once, and no circle for ever.
func TestFolderLinks(t *testing.T) {
	dir := t.TempDir()
	one := image.NewGray(image.Rect(0, 0, 2, 2))
	encode := func(b *bytes.Buffer) error { return png.Encode(b, one) }
	for _, name := range []string{"disk/a/1.png", "disk/a/2.png", "disk/b/3.png"} {
		save(t, filepath.Join(dir, name), encode)
	}
	for _, name := range []string{"disk/._1.png", "disk/.cache/1.png"} {
		write(t, filepath.Join(dir, name), []byte("no picture"))
	}
	if err := os.MkdirAll(filepath.Join(dir, "mixed"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"link": "disk", "mixed/b": "../disk/b", "mixed/again": "../disk/b", "mixed/round": "../mixed", "mixed/4.png": "../disk/a/1.png",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{"disk": 3, "link": 3, "mixed": 2} {
		m, err := Open(t.Context(), Source{Name: "folder", Path: filepath.Join(dir, name)})
		if err != nil || m.Len() != want {
			t.Errorf("%s: %+v, %v; want %d pictures", name, m, err, want)
		}
	}
}

// Ensure that what is no image is an error that names it, and that a named pipe is one
// instead of a wait without end.
func TestFolderOfOthers(t *testing.T) {
	for name, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"empty":     {func(path string) error { return os.WriteFile(path, nil, 0o644) }, "neither PNG nor JPEG, or empty"},
		"text":      {func(path string) error { return os.WriteFile(path, []byte("<html>"), 0o644) }, "neither PNG nor JPEG, or empty"},
		"pipe":      {func(path string) error { return syscall.Mkfifo(path, 0o644) }, "a named pipe, want a file"},
		"loop":      {func(path string) error { return os.Symlink("b.png", path) }, "links"},
		"lost link": {func(path string) error { return os.Symlink("c.png", path) }, "no such file"},
	} {
		dir := t.TempDir()
		save(t, filepath.Join(dir, "a.png"), func(b *bytes.Buffer) error { return png.Encode(b, image.NewGray(image.Rect(0, 0, 2, 2))) })
		path := filepath.Join(dir, "b.png")
		if err := c.make(path); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Source{Name: "folder", Path: dir}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "train-images-idx3-ubyte"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "train-labels-idx1-ubyte"), idx([]byte{1}, 1))
	if _, err := Open(t.Context(), Source{Name: "mnist", Path: dir}); err == nil || !strings.Contains(err.Error(), "a named pipe, want a file") {
		t.Errorf("IDX: %v", err)
	}
}

// Ensure that the colours of a JPEG are those that Pillow reads, which testdata/jpeg.py
// keeps beside the files, up to rounding.
func TestJPEGColours(t *testing.T) {
	for _, name := range []string{"420", "422", "444"} {
		var pixels [2][]byte
		for i, end := range []string{".jpg", ".png"} {
			img, err := decode(filepath.Join("testdata", "jpeg-"+name+end))
			if err != nil {
				t.Fatal(err)
			}
			pixels[i] = appendPixels(nil, img, 3)
		}
		most := 0
		for i, p := range pixels[0] {
			most = max(most, int(p)-int(pixels[1][i]), int(pixels[1][i])-int(p))
		}
		if len(pixels[0]) != len(pixels[1]) || most > 3 {
			t.Errorf("%s: %d and %d values, up to %d apart", name, len(pixels[0]), len(pixels[1]), most)
		}
	}
}

// Ensure that colours halved downwards are those halved across, turned, up to rounding.
func TestSmoothDown(t *testing.T) {
	across := image.NewYCbCr(image.Rect(0, 0, 7, 5), image.YCbCrSubsampleRatio422)
	down := image.NewYCbCr(image.Rect(0, 0, 5, 7), image.YCbCrSubsampleRatio440)
	for y := range 5 {
		for x := range 7 {
			value := byte(37*x + 11*y)
			across.Y[across.YOffset(x, y)], down.Y[down.YOffset(y, x)] = value, value
			across.Cb[across.COffset(x, y)], down.Cb[down.COffset(y, x)] = value, value
			across.Cr[across.COffset(x, y)], down.Cr[down.COffset(y, x)] = 255-value, 255-value
		}
	}
	a, b := smooth(across).(*image.NRGBA), smooth(down).(*image.NRGBA)
	for y := range 5 {
		for x := range 7 {
			one, other := a.NRGBAAt(x, y), b.NRGBAAt(y, x)
			if d := int(one.R) - int(other.R); d < -2 || d > 2 {
				t.Errorf("at %d, %d: %v and %v", x, y, one, other)
			}
		}
	}
}

// FuzzPicture looks for PNG and JPEG on which reading panics, or gives other than its size.
func FuzzPicture(f *testing.F) {
	for _, name := range []string{"jpeg-420.jpg", "jpeg-422.jpg", "jpeg-420.png"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	small, err := picture.EncodePNG(image.NewNRGBA64(image.Rect(0, 0, 3, 2)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x.png")
		write(t, path, data)
		img, err := decode(path)
		if err != nil || img.Bounds().Dx()*img.Bounds().Dy() > 1<<16 {
			return
		}
		box := img.Bounds()
		if got := appendPixels(nil, img, 3); len(got) != 3*box.Dx()*box.Dy() {
			t.Errorf("%v gives %d values", box, len(got))
		}
	})
}

// FuzzNumPy looks for arrays on which reading panics, or gives other than their shape.
func FuzzNumPy(f *testing.F) {
	header := func(text string) []byte {
		return append([]byte("\x93NUMPY\x01\x00"), append([]byte{byte(len(text)), 0}, text...)...)
	}
	f.Add(append(header("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2), }\n"), 1, 2, 3, 4))
	f.Add(append(header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1), }\n"), 0, 0, 0, 0))
	f.Add(header("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 99999999), }\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, shape, err := readNumPy(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		size := 1
		for _, d := range shape {
			size *= d
		}
		switch v := values.(type) {
		case []byte:
			if len(v) != size {
				t.Errorf("%v: %d values", shape, len(v))
			}
		case []float32:
			if len(v) != size {
				t.Errorf("%v: %d values", shape, len(v))
			}
		}
	})
}
