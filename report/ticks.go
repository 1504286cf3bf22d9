package report

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
)

// ticks labels an axis at about six round numbers. Large numbers of a step axis are
// written 200k, 1M.
type ticks struct{ steps bool }

var _ plot.Ticker = ticks{}

// Ticks returns the ticks within [lo, hi].
func (t ticks) Ticks(lo, hi float64) []plot.Tick {
	size := math.Pow(10, math.Floor(math.Log10((hi-lo)/5)))
	if !(hi > lo) || !(size > 1e-12*max(math.Abs(lo), math.Abs(hi))) || size == 0 { // the range is too small for float64
		return []plot.Tick{{Value: lo, Label: t.label(lo)}}
	}
	for _, factor := range []float64{1, 2, 5, 10} {
		if (hi-lo)/(factor*size) <= 6.5 {
			size *= factor
			break
		}
	}
	var all []plot.Tick
	for k := math.Ceil(lo/size-1e-9) + 0; k*size <= hi+1e-9*size; k++ {
		all = append(all, plot.Tick{Value: k * size, Label: t.label(k * size)})
	}
	return all
}

func (t ticks) label(x float64) string {
	switch size := math.Abs(x); {
	case t.steps && size >= 1e6:
		return fmt.Sprintf("%.4gM", x/1e6)
	case t.steps && size >= 1e3:
		return fmt.Sprintf("%.4gk", x/1e3)
	}
	return fmt.Sprintf("%.6g", x)
}

// logTicks labels a logarithmic axis at powers of ten and, below two decades, also at
// their doubles and quintuples.
type logTicks struct{}

var _ plot.Ticker = logTicks{}

// Ticks returns the ticks within [lo, hi], both above 0.
func (logTicks) Ticks(lo, hi float64) []plot.Tick {
	var all []plot.Tick
	few := math.Log10(hi/lo) < 2
	for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
		for factor := 1.0; factor < 10; factor++ {
			x := factor * math.Pow(10, e)
			if x < lo || x > hi {
				continue
			}
			tick := plot.Tick{Value: x}
			if factor == 1 || few && (factor == 2 || factor == 5) {
				tick.Label = fmt.Sprintf("%.4g", x)
			}
			all = append(all, tick)
		}
	}
	return all
}
