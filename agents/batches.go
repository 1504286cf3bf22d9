package agents

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Rows is the number of observations of a size in obs. It fails if there is none, or if
// some are left over.
func Rows(obs []float32, size int) (int, error) {
	n := len(obs) / size
	if n == 0 || n*size != len(obs) {
		return 0, fmt.Errorf("got %d numbers, not a multiple of the observation size %d", len(obs), size)
	}
	return n, nil
}

// Batches divides observations into batches of a few sizes, for an Oracle, whose graphs
// are compiled for these alone.
type Batches struct {
	Sizes  []int // rows, ascending
	padded []float32
}

// NewBatches returns the Batches of these sizes, in any order.
func NewBatches(sizes []int) (Batches, error) {
	sorted := slices.Compact(slices.Sorted(slices.Values(sizes)))
	if len(sorted) == 0 || sorted[0] < 1 {
		return Batches{}, fmt.Errorf("batch sizes %v: want at least one, each at least 1", sizes)
	}
	return Batches{Sizes: sorted}, nil
}

// Largest is the largest size.
func (b *Batches) Largest() int { return b.Sizes[len(b.Sizes)-1] }

// Each calls ask for all observations [n*width] in turn: batch [size*width] holds those
// from row first to row first+rows, and zeros up to the smallest size that fits. The batch
// is valid until ask returns.
func (b *Batches) Each(obs []float32, width int, ask func(first, rows, size int, batch []float32) error) error {
	n, err := Rows(obs, width)
	if err != nil {
		return err
	}
	for first := 0; first < n; first += b.Largest() {
		rows := min(n-first, b.Largest())
		at, _ := slices.BinarySearch(b.Sizes, rows)
		size, batch := b.Sizes[at], obs[first*width:(first+rows)*width]
		if size > rows {
			b.padded = slices.Grow(b.padded[:0], size*width)[:size*width]
			clear(b.padded[copy(b.padded, batch):])
			batch = b.padded
		}
		if err := ask(first, rows, size, batch); err != nil {
			return err
		}
	}
	return nil
}

// NotFinite lists the figures that are not finite, with their names, for the error of an
// Update.
func NotFinite(names []string, figures []float32) string {
	var all []string
	for i, x := range figures {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			all = append(all, fmt.Sprintf("%s is %v", names[i], x))
		}
	}
	return strings.Join(all, ", ")
}

// CheckActions reports the first number of actions [N*dim] that is NaN.
func CheckActions(actions []float32, dim int) error {
	for i, a := range actions {
		if math.IsNaN(float64(a)) {
			return fmt.Errorf("action %d of row %d is %v", i%dim, i/dim, a)
		}
	}
	return nil
}
