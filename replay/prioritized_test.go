package replay_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/replay"
)

// numbered is a prioritized buffer of n transitions, each an episode of its own
// with its number as the observation, and the Index of each.
func numbered(t *testing.T, n int, p replay.Priority) (*replay.Prioritized, []int64) {
	t.Helper()
	b, err := replay.NewPrioritized(replay.Config{Capacity: n, SpareEnds: n, Copies: 1, ObsDim: 1, ActDim: 1, Gamma: 1}, p)
	require.NoError(t, err)
	for i := range n {
		require.NoError(t, b.Add(replay.Transition{Obs: []float32{float32(i)}, Action: []float32{0}, Next: []float32{-1}, Terminated: true}))
	}
	index := make([]int64, n)
	var batch replay.Batch
	require.NoError(t, b.Sample(&batch, n, rand.New(rand.NewPCG(0, 0)))) // all alike: a row of each
	for i, o := range batch.Obs {
		index[int(o)] = batch.Index[i]
	}
	return b, index
}

// Drawn as often, and weighted, as the paper's equations 1 and (in section 3.4)
// w_i = (N·P(i))^-β say.
func TestPrioritizedProportions(t *testing.T) {
	p := replay.Priority{Alpha: 0.6, Epsilon: 0.01, Beta: 0.4, BetaSteps: 40}
	b, index := numbered(t, 20, p)
	errs := make([]float32, 20)
	total, least := 0.0, math.Inf(1)
	weight := make([]float64, 20)
	for i := range errs {
		errs[i] = float32(i) / 4
		weight[i] = math.Pow(float64(errs[i])+p.Epsilon, p.Alpha)
		total += weight[i]
		least = min(least, weight[i])
	}
	b.Reprioritize(index, errs)

	const n = 64_000
	beta := 0.4 + 0.6*20/40 // half of BetaSteps were added
	counts := make([]int, 20)
	var batch replay.Batch
	rng := rand.New(rand.NewPCG(9, 9))
	for range n / 640 {
		require.NoError(t, b.Sample(&batch, 640, rng))
		for i, o := range batch.Obs {
			counts[int(o)]++
			require.InDelta(t, math.Pow(weight[int(o)]/least, -beta), batch.Weight[i], 1e-5)
		}
	}
	for i, k := range counts {
		want := n * weight[i] / total
		require.InDelta(t, want, k, 5*math.Sqrt(want)+1, "transition %d", i)
	}
}

func TestBetaReachesOne(t *testing.T) {
	b, index := numbered(t, 10, replay.Priority{Alpha: 1, Epsilon: 1e-9, Beta: 0.3, BetaSteps: 10})
	b.Reprioritize(index, []float32{1, 1, 1, 1, 1, 4, 4, 4, 4, 4})
	var batch replay.Batch
	require.NoError(t, b.Sample(&batch, 50, rand.New(rand.NewPCG(1, 1))))
	for i, o := range batch.Obs {
		require.InDelta(t, map[bool]float64{true: 0.25, false: 1}[o >= 5], batch.Weight[i], 1e-6)
	}
}

// With α = 0 all are alike, whatever the errors.
func TestAlphaZeroIsUniform(t *testing.T) {
	b, index := numbered(t, 8, replay.Priority{Alpha: 0, Epsilon: 1e-6, Beta: 1})
	b.Reprioritize(index, []float32{0, 1, 2, 3, 4, 5, 6, 1e30})
	var batch replay.Batch
	require.NoError(t, b.Sample(&batch, 8, rand.New(rand.NewPCG(1, 1))))
	slices.Sort(batch.Obs)
	for i := range 8 {
		require.EqualValues(t, i, batch.Obs[i], "stratified: one of each")
		require.EqualValues(t, 1, batch.Weight[i])
	}
}

// A new transition comes with the largest weight so far, and is soon drawn.
func TestNewIsDrawnSoon(t *testing.T) {
	b, index := numbered(t, 100, replay.Priority{Alpha: 1, Epsilon: 1e-6, Beta: 0.4, BetaSteps: 1000})
	errs := make([]float32, 100)
	errs[7] = 50
	b.Reprioritize(index, errs)
	require.NoError(t, b.Add(replay.Transition{Obs: []float32{100}, Action: []float32{0}, Next: []float32{0}, Terminated: true}))
	var batch replay.Batch
	require.NoError(t, b.Sample(&batch, 100, rand.New(rand.NewPCG(1, 1))))
	fresh := 0
	for _, o := range batch.Obs {
		if o == 100 {
			fresh++
		}
	}
	require.InDelta(t, 50, fresh, 3)
}

// An error that comes late, for a slot which holds something else by now, and
// errors that are no numbers change nothing.
func TestReprioritizePassesOver(t *testing.T) {
	b, index := numbered(t, 10, replay.Priority{Alpha: 1, Epsilon: 1e-6, Beta: 1})
	for i := range 20 {
		require.NoError(t, b.Add(replay.Transition{Obs: []float32{float32(10 + i)}, Action: []float32{0}, Next: []float32{-1}, Terminated: true}))
	}
	b.Reprioritize(append(index, -1, math.MaxInt64), []float32{9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 9}) // all gone
	var batch replay.Batch
	require.NoError(t, b.Sample(&batch, 10, rand.New(rand.NewPCG(1, 1))))
	b.Reprioritize(batch.Index[:3], []float32{float32(math.NaN()), float32(math.Inf(1)), -1})
	require.NoError(t, b.Sample(&batch, 10, rand.New(rand.NewPCG(1, 1))))
	slices.Sort(batch.Obs)
	for i := range 10 {
		require.EqualValues(t, 20+i, batch.Obs[i], "still one of each")
	}
}
