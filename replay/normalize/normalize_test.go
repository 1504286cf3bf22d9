package normalize_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/replay/normalize"
)

var _ agents.Normalizer = (*normalize.Normalizer)(nil)

func build(t *testing.T, c normalize.Config) *normalize.Normalizer {
	t.Helper()
	n, err := normalize.New(c)
	require.NoError(t, err)
	return n
}

var both = normalize.Config{Obs: true, Reward: true, ObsDim: 2, Copies: 3, Gamma: 0.97}

// Numbers of Stable-Baselines3's VecNormalize (testdata/golden.py): fifty steps
// that learn, ten of evaluation that don't.
func TestGolden(t *testing.T) {
	var g struct {
		Gamma       float64
		Obs         [][][]float32 `json:"obs"`
		NormObs     [][][]float64 `json:"norm_obs"`
		Rewards     [][]float32   `json:"rewards"`
		Dones       [][]bool      `json:"dones"`
		NormRewards [][]float64   `json:"norm_rewards"`
		ObsMean     []float64     `json:"obs_mean"`
		ObsVar      []float64     `json:"obs_var"`
		ObsCount    float64       `json:"obs_count"`
		RewardMean  []float64     `json:"reward_mean"`
		RewardVar   []float64     `json:"reward_var"`
		RewardCount float64       `json:"reward_count"`
	}
	data, err := os.ReadFile("testdata/golden.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &g))
	require.Equal(t, both.Gamma, g.Gamma)

	n := build(t, both)
	clipped := 0
	none := make([]bool, 3)
	scaled := func(want [][]float64, obs [][]float32) {
		flat := slices.Concat(obs...)
		n.Obs(flat)
		for i, w := range slices.Concat(want...) {
			require.InDelta(t, w, flat[i], 1e-6*math.Max(1, math.Abs(w)))
			if math.Abs(w) == 10 {
				clipped++
			}
		}
	}
	n.Observe(0, slices.Concat(g.Obs[0]...), nil, nil, nil)
	scaled(g.NormObs[0], g.Obs[0])
	for i, rewards := range g.Rewards {
		if i == 50 {
			n = n.Frozen()
		}
		ends := [2][]bool{none, g.Dones[i]}
		n.Observe(0, slices.Concat(g.Obs[i+1]...), rewards, ends[i%2], ends[1-i%2])
		scaled(g.NormObs[i+1], g.Obs[i+1])
		n.Reward(rewards)
		for j, w := range g.NormRewards[i] {
			require.InDelta(t, w, rewards[j], 1e-6*math.Max(1, math.Abs(w)), "step %d", i)
			if math.Abs(w) == 10 {
				clipped++
			}
		}
	}
	require.Equal(t, 3, clipped)
	s := n.State()
	require.InEpsilonSlice(t, g.ObsMean, s.Obs.Mean, 1e-12)
	require.InEpsilonSlice(t, g.ObsVar, s.Obs.Var, 1e-12)
	require.InEpsilon(t, g.ObsCount, s.Obs.Count, 1e-12)
	require.InEpsilonSlice(t, g.RewardMean, s.Reward.Mean, 1e-12)
	require.InEpsilonSlice(t, g.RewardVar, s.Reward.Var, 1e-12)
	require.InEpsilon(t, g.RewardCount, s.Reward.Count, 1e-12)
}

// In whatever batches the same rows come, the moments are those of all of them.
func TestMomentsOfAnyBatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		n := build(t, normalize.Config{Obs: true, ObsDim: 1, Copies: 1})
		all := []float64{}
		offset := math.Pow(10, float64(rng.IntN(6)))
		for range 30 {
			batch := make([]float32, 1+rng.IntN(40))
			for i := range batch {
				batch[i] = float32(offset + rng.NormFloat64())
				all = append(all, float64(batch[i]))
			}
			n.Observe(0, batch, nil, nil, nil)
		}
		mean, variance := 0.0, 0.0
		for _, x := range all {
			mean += x / float64(len(all))
		}
		for _, x := range all {
			variance += (x - mean) * (x - mean) / float64(len(all))
		}
		// The 1e-4 samples at 0 that it starts with, taken into account.
		prior, count := 1e-4, float64(len(all))
		total := prior + count
		s := n.State().Obs
		require.InEpsilon(t, mean*count/total, s.Mean[0], 1e-9)
		require.InEpsilon(t, (prior+variance*count+mean*mean*prior*count/total)/total, s.Var[0], 1e-6)
		require.InEpsilon(t, total, s.Count, 1e-12)
	}
}

func TestFrozenDoesNotLearn(t *testing.T) {
	n := build(t, both)
	none := make([]bool, 3)
	n.Observe(0, []float32{1, 2, 3, 4, 5, 6}, []float32{1, 2, 3}, none, none)
	frozen, before := n.Frozen(), n.State()
	frozen.Observe(0, make([]float32, 6), []float32{100, 100, 100}, none, none)
	require.Equal(t, before, frozen.State())
	require.Equal(t, before, n.State())
	n.Observe(1, []float32{100, 100}, []float32{1}, none, none)
	require.Equal(t, before, frozen.State(), "it keeps the statistics of when it was frozen")
	require.NotEqual(t, before, n.State())
}

// What is off is passed through, and has no statistics.
func TestOff(t *testing.T) {
	n := build(t, normalize.Config{ObsDim: 2, Copies: 1})
	n.Observe(0, []float32{1e6, 5}, []float32{3e7}, []bool{false}, []bool{true})
	obs, reward := []float32{1e6, -5}, []float32{1, 2, 3e7}
	n.Obs(obs)
	n.Reward(reward)
	require.Equal(t, []float32{1e6, -5}, obs)
	require.Equal(t, []float32{1, 2, 3e7}, reward)
	require.Equal(t, normalize.State{}, n.State())
	require.NoError(t, n.Restore(normalize.State{}))
}

// Workers that report one after the other keep the returns of their own copies.
func TestCopiesOfSeveralWorkers(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	c := normalize.Config{Reward: true, ObsDim: 1, Copies: 4, Gamma: 0.5}
	n := build(t, c)
	returns, all := make([]float64, 4), []float64{0}
	for range 200 {
		first := 2 * rng.IntN(2)
		reward := []float32{rng.Float32(), 10 * rng.Float32()}
		ends := [][]bool{{rng.IntN(5) == 0, false}, {false, rng.IntN(5) == 0}}
		n.Observe(first, make([]float32, 2), reward, ends[0], ends[1])
		for i, x := range reward {
			returns[first+i] = returns[first+i]*c.Gamma + float64(x)
			all = append(all, returns[first+i])
			if ends[0][i] || ends[1][i] {
				returns[first+i] = 0
			}
		}
	}
	mean := 0.0
	for _, x := range all {
		mean += x / (400 + 1e-4)
	}
	require.InEpsilon(t, mean, n.State().Reward.Mean[0], 1e-12)
}

// Through JSON, bit by bit, the statistics go on as if nothing had happened.
func TestStateThroughJSON(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	n := build(t, both)
	learn := func(n *normalize.Normalizer, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		for range 100 {
			obs := []float32{float32(rng.NormFloat64()), float32(rng.ExpFloat64() * 1e5)}
			n.Observe(2, obs, []float32{rng.Float32()}, []bool{true}, []bool{false})
		}
	}
	learn(n, rng.Uint64())
	data, err := json.Marshal(n.State())
	require.NoError(t, err)
	var s normalize.State
	require.NoError(t, json.Unmarshal(data, &s))
	again := build(t, both)
	require.NoError(t, again.Restore(s))
	learn(n, 3)
	learn(again, 3)
	require.Equal(t, n.State(), again.State())
}

func TestRestoreRefuses(t *testing.T) {
	other := both
	other.ObsDim = 17
	require.ErrorContains(t, build(t, both).Restore(build(t, other).State()), "17 means and 17 variances of the observation, this run's has 2")
	other = both
	other.Reward = false
	require.ErrorContains(t, build(t, both).Restore(build(t, other).State()), "of returns: false; this run scales observations: true, rewards: true")
	for _, spoil := range []func(m *normalize.Moments){
		func(m *normalize.Moments) { m.Var[1] = -1 },
		func(m *normalize.Moments) { m.Mean[0] = math.NaN() },
		func(m *normalize.Moments) { m.Count = 0 },
	} {
		n := build(t, both)
		s, before := n.State(), n.State()
		spoil(s.Obs)
		require.ErrorContains(t, n.Restore(s), "normalize: the state has")
		require.Equal(t, before, n.State())
	}
}

// A number that is not finite must not spoil what was learnt.
func TestNotFiniteTeachesNothing(t *testing.T) {
	n := build(t, both)
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	before := n.State()
	n.Observe(0, []float32{1, inf}, []float32{1}, []bool{false}, []bool{false})
	n.Observe(0, []float32{1, 2}, []float32{nan}, []bool{false}, []bool{false})
	require.Equal(t, before, n.State())
}

func TestBadConfig(t *testing.T) {
	_, err := normalize.New(normalize.Config{Gamma: 2, ClipObs: -1})
	for _, want := range []string{"ObsDim 0", "Gamma 2", "ClipObs -1"} {
		require.ErrorContains(t, err, want)
	}
}
