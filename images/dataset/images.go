// Package dataset reads images: CIFAR-10, MNIST and Fashion-MNIST in their own formats,
// and folders of PNG and JPEG files. It keeps a set in memory as bytes, and draws batches
// with values in [-1, 1].
package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
)

// Images is a set of images of one size. It is immutable, so any number of goroutines may
// read it.
type Images struct {
	Name                    string // name for messages: cifar10 train 32×32
	Height, Width, Channels int    // channels: 1 (grey) or 3 (red, green, blue)
	Pixels                  []byte // [N, H, W, C]
	Labels                  []int  // [N]; nil if unknown
}

// Len is the number of pictures.
func (m *Images) Len() int { return len(m.Pixels) / m.Size() }

// Size is the number of values of one image, H·W·C.
func (m *Images) Size() int { return m.Height * m.Width * m.Channels }

// Key identifies the content: two sets of the same images in the same order have the same
// key, whatever their names.
func (m *Images) Key() string {
	h := sha256.New()
	for _, n := range []int{m.Height, m.Width, m.Channels} {
		binary.Write(h, binary.LittleEndian, uint32(n))
	}
	h.Write(m.Pixels)
	return hex.EncodeToString(h.Sum(nil))
}

// Slice returns the images [from, to), sharing memory with m.
func (m *Images) Slice(from, to int) *Images {
	s := *m
	s.Pixels = m.Pixels[from*m.Size() : to*m.Size()]
	if m.Labels != nil {
		s.Labels = m.Labels[from:to]
	}
	return &s
}

// Of returns a copy of the images with the given labels.
func (m *Images) Of(labels ...int) *Images {
	wanted := map[int]bool{}
	for _, l := range labels {
		wanted[l] = true
	}
	s := *m
	s.Name = fmt.Sprintf("%s, labels %v", m.Name, labels)
	s.Pixels, s.Labels = nil, nil
	for i, l := range m.Labels {
		if wanted[l] {
			s.Pixels = append(s.Pixels, m.Pixels[i*m.Size():(i+1)*m.Size()]...)
			s.Labels = append(s.Labels, l)
		}
	}
	return &s
}

// Picture returns image i as an image.Image that shares no memory with m.
func (m *Images) Picture(i int) image.Image {
	box := image.Rect(0, 0, m.Width, m.Height)
	pixels := m.Pixels[i*m.Size() : (i+1)*m.Size()]
	if m.Channels == 1 {
		img := image.NewGray(box)
		copy(img.Pix, pixels)
		return img
	}
	img := image.NewNRGBA(box)
	for p := range m.Width * m.Height {
		img.SetNRGBA(p%m.Width, p/m.Width, color.NRGBA{pixels[3*p], pixels[3*p+1], pixels[3*p+2], 255})
	}
	return img
}

// Pictures returns the images [from, to) as image.Image.
func (m *Images) Pictures(from, to int) []image.Image {
	list := make([]image.Image, 0, to-from)
	for i := from; i < to; i++ {
		list = append(list, m.Picture(i))
	}
	return list
}

// Augment selects random variations of drawn images.
type Augment struct {
	Flip bool // mirror horizontally with probability ½
	// Noise adds uniform noise as wide as a step between two bytes, so that the
	// values have a density (dequantisation; Theis et al. 2016, section 3.1).
	Noise bool
}

// Draw fills dst, [B, H, W, C] with as many images as fit, drawn uniformly and
// independently. The batch depends only on the state of rng, which is all that a
// checkpoint must store.
func (m *Images) Draw(dst []float32, rng *rand.Rand, a Augment) {
	size, n := m.Size(), m.Len()
	for at := 0; at+size <= len(dst); at += size {
		m.float(dst[at:at+size], rng.IntN(n), rng, a)
	}
}

// Floats fills dst, [to-from, H, W, C], with the images [from, to), without variation.
func (m *Images) Floats(dst []float32, from, to int) {
	size := m.Size()
	for i := from; i < to; i++ {
		m.float(dst[(i-from)*size:(i-from+1)*size], i, nil, Augment{})
	}
}

// float writes image i. A byte b stands for the interval [b, b+1)/128 − 1; without noise
// the value is its middle.
func (m *Images) float(dst []float32, i int, rng *rand.Rand, a Augment) {
	pixels := m.Pixels[i*m.Size() : (i+1)*m.Size()]
	mirror := a.Flip && rng.Uint32()&1 == 1
	row := m.Width * m.Channels
	for at := range dst {
		from := at
		if mirror {
			x, c := at%row/m.Channels, at%m.Channels
			from = at/row*row + (m.Width-1-x)*m.Channels + c
		}
		within := float32(0.5)
		if a.Noise {
			within = rng.Float32()
		}
		dst[at] = (float32(pixels[from])+within)/128 - 1
	}
}

// FromFloats makes a set from x, [N, height, width, channels] in [-1, 1]. It clips values
// outside and rejects NaN.
func FromFloats(name string, x []float32, height, width, channels int) (*Images, error) {
	m := &Images{Name: name, Height: height, Width: width, Channels: channels}
	if height < 1 || width < 1 || channels != 1 && channels != 3 {
		return nil, fmt.Errorf("dataset: %s: images of %d×%d with %d channels: want 1 or 3 channels", name, height, width, channels)
	}
	if len(x)%m.Size() != 0 {
		return nil, fmt.Errorf("dataset: %s: %d values are not a multiple of %d×%d×%d", name, len(x), height, width, channels)
	}
	m.Pixels = make([]byte, len(x))
	for i, v := range x {
		if math.IsNaN(float64(v)) {
			return nil, fmt.Errorf("dataset: %s: image %d has a NaN value", name, i/m.Size())
		}
		m.Pixels[i] = byte(min(max(math.Floor((float64(v)+1)*128), 0), 255))
	}
	return m, nil
}
