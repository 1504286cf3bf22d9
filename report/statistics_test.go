package report

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// golden is testdata/rliable.json.
type golden struct {
	Gamma                                    float64
	X, Y, Curve                              [][]float64 // [run][task], the curve [run][point]
	Taus                                     []float64
	Aggregates, Improvement, Profile, Curves goldenBounds
	OneTask                                  goldenBounds `json:"one_task"`
}

type goldenBounds struct {
	Point, Low, High []float64
	Draws            json.RawMessage
}

func readGolden(t *testing.T) golden {
	t.Helper()
	data, err := os.ReadFile("testdata/rliable.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// turned is rliable's [run][task] as [task][run].
func turned[T any](m [][]T) [][]T {
	out := make([][]T, len(m[0]))
	for i := range out {
		for _, row := range m {
			out[i] = append(out[i], row[i])
		}
	}
	return out
}

// replayed gives recorded resamples one after the other.
func replayed(t *testing.T, raw json.RawMessage) (n int, next func() choice) {
	t.Helper()
	var all [][][]int
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	i := 0
	return len(all), func() choice { i++; return turned(all[i-1]) }
}

const tolerance = 1e-9

func (w goldenBounds) check(t *testing.T, got []Interval) {
	t.Helper()
	if len(got) != len(w.Point) || len(w.Point) == 0 {
		t.Fatalf("%d figures, want %d", len(got), len(w.Point))
	}
	for i, g := range got {
		want := Interval{w.Point[i], w.Low[i], w.High[i]}
		if math.Abs(g.Value-want.Value) > tolerance || math.Abs(g.Low-want.Low) > tolerance || math.Abs(g.High-want.High) > tolerance {
			t.Errorf("figure %d: %+v, rliable %+v", i, g, want)
		}
	}
}

// Ensure that statistics and, with the resamples that it drew, intervals are
// rliable's to 1e-9.
func TestRliable(t *testing.T) {
	g := readGolden(t)
	x, y := Scores(turned(g.X)), Scores(turned(g.Y))
	aggregates := []Statistic{IQM, Mean, Median, OptimalityGap(g.Gamma)}
	var profile []Statistic
	for _, tau := range g.Taus {
		profile = append(profile, Profile(tau))
	}
	for name, c := range map[string]struct {
		of     goldenBounds
		scores Scores
		by     []Statistic
	}{
		"aggregates": {g.Aggregates, x, aggregates},
		"one task":   {g.OneTask, x[:1], aggregates},
		"profile":    {g.Profile, x, profile},
	} {
		t.Run(name, func(t *testing.T) {
			n, next := replayed(t, c.of.Draws)
			c.of.check(t, Bootstrap{Resamples: n}.intervals(c.scores, next, c.by))
		})
	}
	t.Run("curve", func(t *testing.T) { // rliable draws for each point anew
		var drawn [][][][]int // [rep][run][task][point]
		if err := json.Unmarshal(g.Curves.Draws, &drawn); err != nil {
			t.Fatal(err)
		}
		var got []Interval
		for point := range g.Curve[0] {
			var runs [][]float64
			for _, run := range g.Curve {
				runs = append(runs, run[point:point+1])
			}
			rep := 0
			got = append(got, Bootstrap{Resamples: len(drawn)}.curve(runs, func() choice {
				var from []int
				for _, run := range drawn[rep] {
					from = append(from, run[0][point])
				}
				rep++
				return choice{from}
			})...)
		}
		g.Curves.check(t, got)
	})
	t.Run("improvement", func(t *testing.T) {
		var all [][2][][]int
		if err := json.Unmarshal(g.Improvement.Draws, &all); err != nil {
			t.Fatal(err)
		}
		i := 0
		got := Bootstrap{Resamples: len(all)}.improvement(x, y, func() (choice, choice) {
			i++
			return turned(all[i-1][0]), turned(all[i-1][1])
		})
		g.Improvement.check(t, []Interval{got})
	})
}

// Ensure that with resamples of its own the intervals are rliable's up to the
// bootstrap's error: the bounds of two sets of resamples differ by a few parts in a
// hundred of the width.
func TestOwnResamples(t *testing.T) {
	g := readGolden(t)
	got := Bootstrap{Resamples: 20_000}.Intervals(turned(g.X), IQM, Mean, Median, OptimalityGap(g.Gamma))
	for i, w := range got {
		width := g.Aggregates.High[i] - g.Aggregates.Low[i]
		if math.Abs(w.Low-g.Aggregates.Low[i]) > 0.15*width || math.Abs(w.High-g.Aggregates.High[i]) > 0.15*width {
			t.Errorf("figure %d: %+v, rliable [%g, %g]", i, w, g.Aggregates.Low[i], g.Aggregates.High[i])
		}
	}
}

// Ensure what must hold whatever the numbers: bounds enclose nothing outside of the
// runs, x over y and y over x are 1 together, a seed gives its intervals again, and
// scores are left as they are.
func TestProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		tasks := 1 + rng.IntN(3)
		x, y := make(Scores, tasks), make(Scores, tasks)
		low, high := math.Inf(1), math.Inf(-1)
		for task := range tasks {
			for range 1 + rng.IntN(9) {
				v := math.Round(3 * rng.NormFloat64())
				low, high = min(low, v), max(high, v)
				x[task] = append(x[task], v)
			}
			for range 1 + rng.IntN(9) {
				y[task] = append(y[task], math.Round(3*rng.NormFloat64()))
			}
		}
		before := x.clone()
		b := Bootstrap{Resamples: 200, Seed: rng.Uint64()}
		for name, statistic := range map[string]Statistic{"IQM": IQM, "mean": Mean, "median": Median, "median of runs": RunMedian} {
			i := b.Interval(x, statistic)
			if i.Low < low-tolerance || i.High > high+tolerance || i.Low > i.High || i.Value < low-tolerance || i.Value > high+tolerance {
				t.Errorf("%s %+v of runs in [%g, %g]", name, i, low, high)
			}
			if again := b.Interval(x, statistic); again != i {
				t.Errorf("%s: %+v, then %+v with the same seed", name, i, again)
			}
		}
		if sum := Improvement(x, y) + Improvement(y, x); math.Abs(sum-1) > tolerance {
			t.Errorf("x over y and y over x are %g together", sum)
		}
		for task := range x {
			for i := range x[task] {
				if x[task][i] != before[task][i] {
					t.Fatal("scores were changed")
				}
			}
		}
	}
}
