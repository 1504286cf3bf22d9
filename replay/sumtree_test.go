package replay

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Trees of every size against a plain list.
func TestSumTree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for n := 1; n < 70; n++ {
		tree, list := newSumTree(n), make([]float64, n)
		for range 200 {
			k, w := rng.IntN(n), float64(rng.IntN(3))*rng.Float64()
			tree.set(k, w)
			list[k] = w
		}
		total := 0.0
		for _, w := range list {
			total += w
		}
		require.InDelta(t, total, tree.total(), 1e-12)
		if total == 0 {
			continue
		}
		// Steps through [0, total): how often a weight is found is its share.
		const steps = 5000
		counts := make([]int, n)
		for i := range steps {
			counts[tree.find(tree.total()*float64(i)/steps)]++
		}
		for k, w := range list {
			require.InDelta(t, w/total, float64(counts[k])/steps, 2.0/steps, "weight %d of %d", k, n)
		}
		for _, u := range []float64{0, tree.total(), math.Nextafter(tree.total(), 10), 2 * total} {
			require.Positive(t, list[tree.find(u)], "a weight of 0 must not be found, even by a rounded number")
		}
		again := newSumTree(n)
		for k, w := range list {
			again.leaf(k, w)
		}
		again.sum()
		require.Equal(t, tree.node[1:], again.node[1:], "changes one by one leave no rounding errors behind")
	}
}

// The least of three million changes does not get lost.
func TestSumTreeDoesNotDrift(t *testing.T) {
	tree := newSumTree(1000)
	rng := rand.New(rand.NewPCG(2, 2))
	for range 300_000 {
		tree.set(rng.IntN(1000), math.Exp(20*rng.NormFloat64()))
	}
	for k := range 1000 {
		tree.set(k, 0)
	}
	require.Zero(t, tree.total())
}

func TestCgroupLimit(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	_, ok := cgroupRest(dir)
	require.False(t, ok)
	put("memory.max", "max\n")
	put("memory.current", "3000\n")
	_, ok = cgroupRest(dir)
	require.False(t, ok, "no limit")
	put("memory.max", "5000\n")
	rest, ok := cgroupRest(dir)
	require.True(t, ok)
	require.EqualValues(t, 2000, rest)
	put("memory.stat", "anon 2000\ninactive_file 700\n")
	rest, _ = cgroupRest(dir)
	require.EqualValues(t, 2700, rest)
	put("memory.current", "9000\n")
	rest, _ = cgroupRest(dir)
	require.Zero(t, rest)
}

// The index of a slot leads back to it, at any turn of the ring.
func TestPositions(t *testing.T) {
	c, err := Config{Capacity: 9, Copies: 3, ObsDim: 1, ActDim: 1}.normal()
	require.NoError(t, err)
	b := newRings(c)
	for i := range 100 {
		require.NoError(t, b.add(Transition{Copy: i % 3, Obs: []float32{float32(i)}, Action: []float32{0}, Next: []float32{float32(i + 3)}, Terminated: i%10 == 0}))
		for copyOf, r := range b.each {
			for p := r.tail; p < r.head; p++ {
				gotCopy, gotP := b.position(b.slot(copyOf, p))
				require.Equal(t, []int64{int64(copyOf), p}, []int64{int64(gotCopy), gotP})
			}
			if r.head > r.tail {
				require.NotEqual(t, only, b.kinds[b.slot(copyOf, r.tail)], "the oldest slot is a transition")
			}
		}
	}
}
