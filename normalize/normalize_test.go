package normalize_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/normalize"
)

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
	step := func(want [][]float64, obs [][]float32) {
		flat := slices.Concat(obs...)
		require.NoError(t, n.Observe(flat))
		n.Obs(flat, flat)
		for i, w := range slices.Concat(want...) {
			require.InDelta(t, w, flat[i], 1e-6*math.Max(1, math.Abs(w)))
			if math.Abs(w) == 10 {
				clipped++
			}
		}
	}
	step(g.NormObs[0], g.Obs[0])
	for i, rewards := range g.Rewards {
		if i == 50 {
			n = n.Frozen()
		}
		step(g.NormObs[i+1], g.Obs[i+1])
		require.NoError(t, n.ObserveReward(rewards, g.Dones[i]))
		scaled := make([]float32, len(rewards))
		n.Reward(scaled, rewards)
		for j, w := range g.NormRewards[i] {
			require.InDelta(t, w, scaled[j], 1e-6*math.Max(1, math.Abs(w)), "step %d", i)
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
			require.NoError(t, n.Observe(batch))
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
	require.NoError(t, n.Observe([]float32{1, 2, 3, 4}))
	require.NoError(t, n.ObserveReward([]float32{1, 2, 3}, make([]bool, 3)))
	frozen, before := n.Frozen(), n.State()
	require.NoError(t, frozen.Observe([]float32{100, 100}))
	require.NoError(t, frozen.ObserveReward([]float32{100, 100, 100}, make([]bool, 3)))
	require.Equal(t, before, frozen.State())
	require.Equal(t, before, n.State())
	require.NoError(t, n.Observe([]float32{100, 100}))
	require.Equal(t, before, frozen.State(), "it keeps the statistics of when it was frozen")
	require.NotEqual(t, before, n.State())
}

// What is off is passed through, and has no statistics.
func TestOff(t *testing.T) {
	n := build(t, normalize.Config{ObsDim: 2, Copies: 3})
	require.NoError(t, n.Observe([]float32{1e6, 5}))
	require.NoError(t, n.ObserveReward([]float32{1, 2, 3e7}, make([]bool, 3)))
	obs, reward := make([]float32, 2), make([]float32, 3)
	n.Obs(obs, []float32{1e6, -5})
	n.Reward(reward, []float32{1, 2, 3e7})
	require.Equal(t, []float32{1e6, -5}, obs)
	require.Equal(t, []float32{1, 2, 3e7}, reward)
	require.Equal(t, normalize.State{}, n.State())
	require.NoError(t, n.Restore(normalize.State{}))
}

// Through JSON, bit by bit, the statistics go on as if nothing had happened.
func TestStateThroughJSON(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	n := build(t, both)
	learn := func(n *normalize.Normalizer, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		for range 100 {
			require.NoError(t, n.Observe([]float32{float32(rng.NormFloat64()), float32(rng.ExpFloat64() * 1e5)}))
			require.NoError(t, n.ObserveReward([]float32{rng.Float32(), rng.Float32(), 1}, []bool{true, true, true}))
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

func TestBadInput(t *testing.T) {
	n := build(t, both)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	before := n.State()
	require.EqualError(t, n.Observe([]float32{1, 2, 3, inf}), "normalize: observation[1] of row 1 is +Inf")
	require.EqualError(t, n.Observe([]float32{1, 2, 3}), "normalize: 3 numbers are no rows of 2")
	require.Error(t, n.Observe(nil))
	require.EqualError(t, n.ObserveReward([]float32{1, nan, 3}, make([]bool, 3)), "normalize: the reward of copy 1 is NaN")
	require.EqualError(t, n.ObserveReward([]float32{1}, make([]bool, 3)), "normalize: 1 rewards and 3 ends of 3 copies")
	require.Equal(t, before, n.State())
	_, err := normalize.New(normalize.Config{Gamma: 2, ClipObs: -1})
	for _, want := range []string{"ObsDim 0", "Gamma 2", "ClipObs -1"} {
		require.ErrorContains(t, err, want)
	}
}
