package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// As returns the set with images of side×side and 1 or 3 channels. It averages larger
// images down, converts colours to grey, and repeats grey in three channels.
func (m *Images) As(side, channels int) (*Images, error) {
	if m.Height != m.Width && m.Height != side {
		return nil, fmt.Errorf("dataset: images of %d×%d are not square", m.Height, m.Width)
	}
	s, err := m.shrink(side)
	if err != nil {
		return nil, err
	}
	switch {
	case channels == 1:
		return s.grey(), nil
	case channels == 3 && s.Channels == 1:
		coloured := *s
		coloured.colour()
		return &coloured, nil
	case channels == s.Channels:
		return s, nil
	}
	return nil, fmt.Errorf("dataset: images of %d channels: want 1 or 3", channels)
}

// Turned returns the set with each square image rotated by 90° clockwise.
func (m *Images) Turned() (*Images, error) {
	if m.Height != m.Width {
		return nil, fmt.Errorf("dataset: cannot rotate images of %d×%d: want square ones", m.Height, m.Width)
	}
	return m.each("turned", func(to, from []byte) {
		for y := range m.Height {
			for x := range m.Width {
				for c := range m.Channels {
					to[(y*m.Width+x)*m.Channels+c] = from[((m.Width-1-x)*m.Width+y)*m.Channels+c]
				}
			}
		}
	}), nil
}

// Blurred returns the set with each value averaged over the surrounding square of side
// 2n+1.
func (m *Images) Blurred(n int) *Images {
	return m.each("blurred", func(to, from []byte) {
		for y := range m.Height {
			for x := range m.Width {
				for c := range m.Channels {
					var sum, count int
					for v := max(0, y-n); v <= min(m.Height-1, y+n); v++ {
						for u := max(0, x-n); u <= min(m.Width-1, x+n); u++ {
							sum, count = sum+int(from[(v*m.Width+u)*m.Channels+c]), count+1
						}
					}
					to[(y*m.Width+x)*m.Channels+c] = byte(sum / count)
				}
			}
		}
	})
}

// Noisy returns the set with normal noise added. std applies to values in [−1, 1].
func (m *Images) Noisy(std float64, rng *rand.Rand) *Images {
	return m.each("noisy", func(to, from []byte) {
		for i, p := range from {
			to[i] = byte(min(max(math.Round(float64(p)+128*std*rng.NormFloat64()), 0), 255))
		}
	})
}

// each returns a set of the images that change writes.
func (m *Images) each(how string, change func(to, from []byte)) *Images {
	s := *m
	s.Name = m.Name + ", " + how
	s.Pixels = make([]byte, len(m.Pixels))
	for at := 0; at < len(m.Pixels); at += m.Size() {
		change(s.Pixels[at:at+m.Size()], m.Pixels[at:at+m.Size()])
	}
	return &s
}
