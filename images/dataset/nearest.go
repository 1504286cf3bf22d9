package dataset

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// Nearest returns, for each image of m, the k closest images of among by squared
// difference of bytes, closest first.
func (m *Images) Nearest(ctx context.Context, among *Images, k int) ([][]int, error) {
	if m.Height != among.Height || m.Width != among.Width || m.Channels != among.Channels {
		return nil, fmt.Errorf("dataset: cannot compare images of %d×%d×%d with %d×%d×%d", m.Height, m.Width, m.Channels, among.Height, among.Width, among.Channels)
	}
	if k < 1 || k > among.Len() {
		return nil, fmt.Errorf("dataset: cannot find the %d nearest of %d images", k, among.Len())
	}
	near := make([][]int, m.Len())
	var next sync.Mutex
	i := -1
	take := func() int {
		next.Lock()
		defer next.Unlock()
		i++
		return i
	}
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), m.Len()) {
		workers.Go(func() {
			for j := take(); j < m.Len() && ctx.Err() == nil; j = take() {
				near[j] = among.nearest(m.Pixels[j*m.Size():(j+1)*m.Size()], k)
			}
		})
	}
	workers.Wait()
	return near, ctx.Err()
}

// nearest keeps a sorted list of k, which most images do not enter.
func (m *Images) nearest(picture []byte, k int) []int {
	type found struct{ at, distance int }
	best := make([]found, 0, k+1)
	for i := range m.Len() {
		limit := int(^uint(0) >> 1)
		if len(best) == k {
			limit = best[k-1].distance
		}
		d := distance(picture, m.Pixels[i*m.Size():(i+1)*m.Size()], limit)
		if d >= limit {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, d, func(f found, d int) int { return cmp.Or(cmp.Compare(f.distance, d), -1) })
		best = slices.Insert(best, at, found{i, d})
		best = best[:min(k, len(best))]
	}
	list := make([]int, len(best))
	for i, f := range best {
		list[i] = f.at
	}
	return list
}

// distance returns early once it reaches limit.
func distance(a, b []byte, limit int) int {
	const stride = 256
	sum := 0
	for from := 0; from < len(a) && sum < limit; from += stride {
		to := min(from+stride, len(a))
		x, y := a[from:to], b[from:to]
		for i := range x {
			d := int(x[i]) - int(y[i])
			sum += d * d
		}
	}
	return sum
}
