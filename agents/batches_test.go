package agents_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stein-rl/stein/agents"
)

// Ensure that every row is asked once and in order, in the smallest batch that fits, and
// that what pads a batch is zero even after a fuller one.
func TestBatches(t *testing.T) {
	const width = 2
	for n, want := range map[int]string{
		1: "[0+1 of 1]", 2: "[0+2 of 3]", 3: "[0+3 of 3]", 5: "[0+5 of 8]", 8: "[0+8 of 8]", 9: "[0+8 of 8 8+1 of 1]", 21: "[0+8 of 8 8+8 of 8 16+5 of 8]",
	} {
		b, err := agents.NewBatches([]int{8, 1, 3, 8})
		if err != nil || b.Largest() != 8 {
			t.Fatal(b, err)
		}
		for range 2 {
			obs := make([]float32, n*width)
			for i := range obs {
				obs[i] = float32(i + 1)
			}
			var asked []string
			var seen []float32
			err := b.Each(obs, width, func(first, rows, size int, batch []float32) error {
				asked = append(asked, fmt.Sprintf("%d+%d of %d", first, rows, size))
				if len(batch) != size*width || slices.ContainsFunc(batch[rows*width:], func(x float32) bool { return x != 0 }) {
					t.Errorf("%d rows: batch %v", n, batch)
				}
				seen = append(seen, batch[:rows*width]...)
				return nil
			})
			if err != nil || fmt.Sprint(asked) != want || !slices.Equal(seen, obs) {
				t.Errorf("%d rows: asked %v with %v, want %s; error %v", n, asked, seen, want, err)
			}
		}
	}
	for _, sizes := range [][]int{nil, {0, 4}, {-1}} {
		if _, err := agents.NewBatches(sizes); err == nil || !strings.Contains(err.Error(), "at least 1") {
			t.Errorf("sizes %v: error %v", sizes, err)
		}
	}
	b := agents.Batches{Sizes: []int{1}}
	for _, obs := range [][]float32{nil, {1, 2, 3}} {
		err := b.Each(obs, width, func(int, int, int, []float32) error { t.Error("asked"); return nil })
		if want := fmt.Sprintf("got %d numbers, not a multiple of the observation size 2", len(obs)); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	stop := fmt.Errorf("enough")
	calls := 0
	if err := b.Each(make([]float32, 6), width, func(int, int, int, []float32) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

// Ensure that numbers which are not finite are named, and only they.
func TestNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	if got := agents.NotFinite([]string{"a", "b", "c"}, []float32{nan, 1, inf}); got != "a is NaN, c is +Inf" {
		t.Errorf("%q", got)
	}
	if err := agents.CheckActions([]float32{0, 1, inf, nan}, 2); err == nil || err.Error() != "action 1 of row 1 is NaN" {
		t.Errorf("error %v", err)
	}
	if err := agents.CheckActions([]float32{0, -1}, 2); err != nil {
		t.Error(err)
	}
}
