// Package dataset reads pictures: CIFAR-10, MNIST and Fashion-MNIST in their own
// formats, and folders of PNG and JPEG. A set is held in memory, as bytes, and
// gives batches in [-1, 1].
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

// Images is a set of pictures of one size. It is not changed once made, so any
// number of goroutines may read it.
type Images struct {
	Name                    string // what it is, for people: cifar10 train 32×32
	Height, Width, Channels int    // channels: 1 (grey) or 3 (red, green, blue)
	Pixels                  []byte // [N, H, W, C]
	Labels                  []int  // [N]; nil where nothing says them
}

// Len is the number of pictures.
func (m *Images) Len() int { return len(m.Pixels) / m.Size() }

// Size is the number of values of one picture, H·W·C.
func (m *Images) Size() int { return m.Height * m.Width * m.Channels }

// Key names the content: two sets of the same pictures in the same order have the
// same key, whatever they are called.
func (m *Images) Key() string {
	h := sha256.New()
	for _, n := range []int{m.Height, m.Width, m.Channels} {
		binary.Write(h, binary.LittleEndian, uint32(n))
	}
	h.Write(m.Pixels)
	return hex.EncodeToString(h.Sum(nil))
}

// Slice is the pictures from to to, sharing memory with m.
func (m *Images) Slice(from, to int) *Images {
	s := *m
	s.Pixels = m.Pixels[from*m.Size() : to*m.Size()]
	if m.Labels != nil {
		s.Labels = m.Labels[from:to]
	}
	return &s
}

// Of is the pictures of some labels, copied.
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

// Picture is number i as an image, which shares no memory with m.
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

// Pictures are those from to to as images.
func (m *Images) Pictures(from, to int) []image.Image {
	list := make([]image.Image, 0, to-from)
	for i := from; i < to; i++ {
		list = append(list, m.Picture(i))
	}
	return list
}

// Augment says how a picture varies each time that it is drawn.
type Augment struct {
	Flip bool // mirrored left to right, one time in two
	// Noise adds uniform noise as wide as a step between two bytes, so that the
	// values have a density (dequantisation; Theis et al. 2016, section 3.1).
	Noise bool
}

// Draw fills dst, [B, H, W, C] for as many B as fit, with pictures drawn evenly and
// independently. The same rng in the same state gives the same batch: a checkpoint
// needs to keep no more than that.
func (m *Images) Draw(dst []float32, rng *rand.Rand, a Augment) {
	size, n := m.Size(), m.Len()
	for at := 0; at+size <= len(dst); at += size {
		m.float(dst[at:at+size], rng.IntN(n), rng, a)
	}
}

// Floats fills dst, [to-from, H, W, C], with the pictures from to to as they are.
func (m *Images) Floats(dst []float32, from, to int) {
	size := m.Size()
	for i := from; i < to; i++ {
		m.float(dst[(i-from)*size:(i-from+1)*size], i, nil, Augment{})
	}
}

// float writes picture i: a byte b is the interval [b, b+1)/128 − 1, and its middle
// where there is no noise.
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

// FromFloats makes a set of x, [N, height, width, channels] in [-1, 1]. Values beyond
// are cut, those that are no number are an error.
func FromFloats(name string, x []float32, height, width, channels int) (*Images, error) {
	m := &Images{Name: name, Height: height, Width: width, Channels: channels}
	if height < 1 || width < 1 || channels != 1 && channels != 3 {
		return nil, fmt.Errorf("dataset: %s: pictures of %d×%d with %d channels: want 1 or 3 channels", name, height, width, channels)
	}
	if len(x)%m.Size() != 0 {
		return nil, fmt.Errorf("dataset: %s: %d values are no whole number of %d×%d×%d", name, len(x), height, width, channels)
	}
	m.Pixels = make([]byte, len(x))
	for i, v := range x {
		if math.IsNaN(float64(v)) {
			return nil, fmt.Errorf("dataset: %s: picture %d has a value that is no number", name, i/m.Size())
		}
		m.Pixels[i] = byte(min(max(math.Floor((float64(v)+1)*128), 0), 255))
	}
	return m, nil
}
