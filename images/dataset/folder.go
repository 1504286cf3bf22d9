package dataset

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // decoders of image.Decode
	_ "image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/draw"

	"github.com/stein-rl/stein/internal/regular"
)

// pixelLimit limits one image: a small file can claim a size that exhausts the memory.
const pixelLimit = 1 << 27

// openFolder reads all PNG and JPEG files in a folder and below, sorted by path.
func openFolder(ctx context.Context, s Source) (*Images, error) {
	if s.Path == "" {
		return nil, fmt.Errorf("dataset: a folder of images needs a path")
	}
	if s.Split != "train" {
		return nil, fmt.Errorf("dataset: a folder of images has no split %q: use the path of that split's folder", s.Split)
	}
	names, err := findPictures(ctx, s.Path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("dataset: no .png, .jpg or .jpeg file in %s or below", s.Path)
	}
	var m *Images
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		img, err := decode(name)
		if err != nil {
			return nil, err
		}
		img = square(img, s.Size)
		box := img.Bounds()
		if m == nil {
			m = &Images{Height: box.Dy(), Width: box.Dx(), Channels: channels(img)}
		}
		if box.Dy() != m.Height || box.Dx() != m.Width {
			return nil, fmt.Errorf("dataset: %s is %d×%d, %s is %d×%d: set a size to which all are scaled", names[0], m.Width, m.Height, name, box.Dx(), box.Dy())
		}
		if m.Channels == 1 && channels(img) == 3 { // the first colour image
			m.colour()
		}
		m.Pixels = appendPixels(m.Pixels, img, m.Channels)
		if s.Progress != nil {
			s.Progress(int64(i+1), int64(len(names)))
		}
	}
	return m, nil
}

// findPictures lists the PNG and JPEG files in a folder and below, sorted by path. It
// follows links and visits each folder once, so cycles end. It skips hidden files and
// folders, where file managers and notebooks leave copies.
func findPictures(ctx context.Context, root string) (names []string, err error) {
	kinds := []string{".png", ".jpg", ".jpeg"}
	seen := map[string]bool{} // real paths of folders
	var walk func(dir string) error
	walk = func(dir string) error {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil || seen[real] {
			return err
		}
		seen[real] = true
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if strings.HasPrefix(entry.Name(), ".") {
				continue
			}
			path := filepath.Join(dir, entry.Name())
			isDir := entry.IsDir()
			if entry.Type()&fs.ModeSymlink != 0 {
				info, err := os.Stat(path)
				isDir = err == nil && info.IsDir() // a broken link is reported when it is read
			}
			if isDir {
				if err := walk(path); err != nil {
					return err
				}
			} else if slices.Contains(kinds, strings.ToLower(filepath.Ext(path))) {
				names = append(names, path)
			}
		}
		return nil
	}
	return names, walk(root)
}

// Decode reads one image, PNG or JPEG, as a set of one. name is for errors.
func Decode(name string, file io.ReadSeeker) (*Images, error) {
	img, err := decodeFrom(name, file)
	if err != nil {
		return nil, err
	}
	box := img.Bounds()
	m := &Images{Name: name, Height: box.Dy(), Width: box.Dx(), Channels: channels(img)}
	m.Pixels = appendPixels(nil, img, m.Channels)
	return m, nil
}

func decode(name string) (image.Image, error) {
	file, err := regular.Open(name)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer file.Close()
	return decodeFrom(name, file)
}

// decodeFrom decodes an image. Errors contain the offset that the decoder had reached.
func decodeFrom(name string, file io.ReadSeeker) (image.Image, error) {
	size, _, err := image.DecodeConfig(file)
	if err == nil && size.Width*size.Height > pixelLimit {
		return nil, fmt.Errorf("dataset: %s is %d×%d: more than %d pixels", name, size.Width, size.Height, pixelLimit)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	var img image.Image
	if err == nil {
		img, _, err = image.Decode(file)
	}
	if errors.Is(err, image.ErrFormat) {
		return nil, fmt.Errorf("dataset: %s is neither PNG nor JPEG, or empty", name)
	}
	if err != nil {
		at, _ := file.Seek(0, io.SeekCurrent)
		return nil, fmt.Errorf("dataset: %s: before offset %d: %w", name, at, err)
	}
	return smooth(img), nil
}

// square crops the centre square and scales it to size×size; 0 leaves the image as it is.
func square(img image.Image, size int) image.Image {
	box := img.Bounds()
	if size == 0 || box.Dx() == size && box.Dy() == size {
		return img
	}
	side := min(box.Dx(), box.Dy())
	corner := box.Min.Add(image.Pt((box.Dx()-side)/2, (box.Dy()-side)/2))
	var to draw.Image
	if channels(img) == 1 {
		to = image.NewGray(image.Rect(0, 0, size, size))
	} else {
		to = image.NewRGBA(image.Rect(0, 0, size, size))
		draw.Draw(to, to.Bounds(), image.White, image.Point{}, draw.Src) // background of transparent images
	}
	draw.CatmullRom.Scale(to, to.Bounds(), img, image.Rectangle{corner, corner.Add(image.Pt(side, side))}, draw.Over, nil)
	return to
}

// channels is 1 for images stored as grey, else 3.
func channels(img image.Image) int {
	if m := img.ColorModel(); m == color.GrayModel || m == color.Gray16Model {
		return 1
	}
	return 3
}

// appendPixels appends an image, on a white background if it is transparent.
func appendPixels(pixels []byte, img image.Image, channels int) []byte {
	box := img.Bounds()
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			r, g, b, a := img.At(x, y).RGBA() // premultiplied by a
			below := 0xffff - a
			pixels = append(pixels, byte((r+below)>>8))
			if channels == 3 {
				pixels = append(pixels, byte((g+below)>>8), byte((b+below)>>8))
			}
		}
	}
	return pixels
}

// colour converts a grey set to three equal channels.
func (m *Images) colour() {
	pixels := make([]byte, 0, 3*len(m.Pixels))
	for _, p := range m.Pixels {
		pixels = append(pixels, p, p, p)
	}
	m.Pixels, m.Channels = pixels, 3
}
