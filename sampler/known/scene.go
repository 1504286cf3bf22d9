package known

import (
	"math"

	"github.com/stein-rl/stein/internal/picture"
)

// Scene plots a density over its first two coordinates within three standard deviations;
// the other coordinates are held at their mean. It needs D ≥ 2.
func Scene(d Density) picture.Scene {
	reach := 3 * math.Sqrt(max(d.Cov.At(0, 0), d.Cov.At(1, 1)))
	return picture.Scene{
		Title: d.Name,
		LogDensity: func(x, y float64) float64 {
			at := append([]float64{x, y}, d.Mean[2:]...)
			return d.LogDensity(at)
		},
		Left: d.Mean[0] - reach, Right: d.Mean[0] + reach,
		Bottom: d.Mean[1] - reach, Top: d.Mean[1] + reach,
	}
}

// Frame plots particles x [M, D] by their first two coordinates.
func Frame(dim int, x []float64) picture.Frame {
	var f picture.Frame
	for i := 0; i+dim <= len(x); i += dim {
		f.X = append(f.X, x[i])
		f.Y = append(f.Y, x[i+1])
	}
	return f
}
