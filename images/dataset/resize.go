package dataset

import (
	"fmt"
	"math"
)

// shrink averages areas: each new pixel is the mean of the old pixels that it covers,
// weighted by their overlap.
func (m *Images) shrink(size int) (*Images, error) {
	if size == m.Height && size == m.Width {
		return m, nil
	}
	if size < 1 || size > min(m.Height, m.Width) {
		return nil, fmt.Errorf("dataset: cannot scale images of %d×%d to %d×%d by averaging", m.Height, m.Width, size, size)
	}
	s := *m
	s.Height, s.Width = size, size
	s.Pixels = make([]byte, m.Len()*s.Size())
	rows, columns := areas(m.Height, size), areas(m.Width, size)
	c := m.Channels
	for i := range m.Len() {
		from, to := m.Pixels[i*m.Size():], s.Pixels[i*s.Size():]
		for y, row := range rows {
			for x, column := range columns {
				for k := range c {
					var sum float64
					for _, a := range row {
						for _, b := range column {
							sum += a.share * b.share * float64(from[(a.at*m.Width+b.at)*c+k])
						}
					}
					to[(y*size+x)*c+k] = byte(math.Round(sum))
				}
			}
		}
	}
	return &s, nil
}

// A cell is an old pixel and its weight in a new one.
type cell struct {
	at    int
	share float64
}

// areas returns, for each of to new pixels, the cells among from old pixels.
func areas(from, to int) [][]cell {
	width := float64(from) / float64(to)
	all := make([][]cell, to)
	for i := range all {
		left, right := float64(i)*width, float64(i+1)*width
		for at := int(left); at < from; at++ {
			share := min(right, float64(at+1)) - max(left, float64(at))
			if share <= 1e-9 { // rounding error
				break
			}
			all[i] = append(all[i], cell{at, share / width})
		}
	}
	return all
}

// grey is the luma of ITU-R BT.601.
func (m *Images) grey() *Images {
	if m.Channels == 1 {
		return m
	}
	s := *m
	s.Channels = 1
	s.Pixels = make([]byte, len(m.Pixels)/3)
	for i := range s.Pixels {
		p := m.Pixels[3*i:]
		s.Pixels[i] = byte(math.Round(0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2])))
	}
	return &s
}
