package replay_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/replay"
)

// walker is the buffer of the main job.
var walker = replay.Config{Capacity: 1_000_000, Copies: 1, ObsDim: 17, ActDim: 6, Gamma: 0.99}

func TestWalkerFitsIn200MB(t *testing.T) {
	for _, copies := range []int{1, 8, 64} {
		c := walker
		c.Copies = copies
		require.Less(t, c.Bytes(), int64(110e6))
		require.Less(t, c.BytesPrioritized(), int64(130e6))
		require.Greater(t, c.Bytes(), int64(97e6), "a million transitions of 24 float32 and a byte")
	}
}

func TestTooLargeIsRefused(t *testing.T) {
	c := walker
	c.Capacity = 1_000_000_000_000
	_, err := replay.New(c)
	require.ErrorContains(t, err, "GB")
	require.ErrorContains(t, err, "1000000000000 transitions of 17+6 numbers take 109125.0 GB, this machine has ")
	require.ErrorContains(t, err, "lower the capacity to ")
	_, err = replay.NewPrioritized(c, replay.DefaultPriority(1))
	require.ErrorContains(t, err, "lower the capacity to ")
	c.Capacity = math.MaxInt / 4
	_, err = replay.New(c)
	require.ErrorContains(t, err, "lower the capacity to ")
}

func TestBadConfigNamesEveryField(t *testing.T) {
	_, err := replay.New(replay.Config{Copies: 4, Capacity: 3, NStep: -1, Gamma: math.NaN(), SpareEnds: -1})
	for _, field := range []string{"Capacity 3", "ObsDim 0", "ActDim 0", "NStep -1", "Gamma NaN", "SpareEnds -1"} {
		require.ErrorContains(t, err, field)
	}
	for _, p := range []replay.Priority{{}, {Alpha: 2, Epsilon: 1}, {Beta: -1, Epsilon: 1}, {Epsilon: math.NaN()}, {Epsilon: 1, BetaSteps: -1}} {
		_, err := replay.NewPrioritized(walker, p)
		require.ErrorContains(t, err, "replay: priority")
	}
}

func TestAddRefuses(t *testing.T) {
	b, err := replay.New(replay.Config{Capacity: 4, Copies: 2, ObsDim: 2, ActDim: 1, Gamma: 1})
	require.NoError(t, err)
	good := func() replay.Transition {
		return replay.Transition{Copy: 1, Obs: []float32{1, 2}, Action: []float32{0}, Next: []float32{3, 4}}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for want, spoil := range map[string]func(t *replay.Transition){
		"copy 2 is out of range: the buffer has 2":  func(t *replay.Transition) { t.Copy = 2 },
		"copy -1 is out of range: the buffer has 2": func(t *replay.Transition) { t.Copy = -1 },
		"copy 1: observation has 1 numbers, want 2": func(t *replay.Transition) { t.Obs = t.Obs[:1] },
		"copy 1: action has 0 numbers, want 1":      func(t *replay.Transition) { t.Action = nil },
		"copy 1: observation[1] is NaN":             func(t *replay.Transition) { t.Obs[1] = nan },
		"copy 1: action[0] is NaN":                  func(t *replay.Transition) { t.Action[0] = nan },
		"copy 1: next observation[0] is -Inf":       func(t *replay.Transition) { t.Next[0] = inf },
		"copy 1: reward is NaN":                     func(t *replay.Transition) { t.Reward = nan },
	} {
		s := good()
		spoil(&s)
		require.EqualError(t, b.Add(s), "replay: "+want)
	}
	require.Zero(t, b.Len())
	require.EqualError(t, b.Sample(&replay.Batch{}, 256, rand.New(rand.NewPCG(0, 0))), "replay: cannot draw a batch of 256 from 0 transitions")
	require.NoError(t, b.Add(good()))
	require.Error(t, b.Sample(&replay.Batch{}, 0, rand.New(rand.NewPCG(0, 0))))
}

// chain adds an episode of so many steps to copy 0: observations t, reward 1.
func chain(t testing.TB, b replay.Buffer, from, steps int, terminated, truncated bool) {
	t.Helper()
	for i := range steps {
		last := i == steps-1
		require.NoError(t, b.Add(replay.Transition{
			Obs: []float32{float32(from + i)}, Action: []float32{0}, Next: []float32{float32(from + i + 1)},
			Reward: 1, Terminated: terminated && last, Truncated: truncated && last,
		}))
	}
}

// The ends of an episode, worked out by hand: three steps looked ahead, γ = 0.5,
// each reward 1.
func TestNStepAtEnds(t *testing.T) {
	type want struct{ reward, next, discount float32 }
	for name, c := range map[string]struct {
		terminated, truncated, cut bool
		last                       want // of the last transition, from observation 4
	}{
		"running":    {last: want{1, 5, 0.5}},
		"cut":        {cut: true, last: want{1, 5, 0.5}},
		"truncated":  {truncated: true, last: want{1, 5, 0.5}},
		"terminated": {terminated: true, last: want{1, 5, 0}},
		"both":       {terminated: true, truncated: true, last: want{1, 5, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := replay.New(replay.Config{Capacity: 50, Copies: 1, ObsDim: 1, ActDim: 1, NStep: 3, Gamma: 0.5})
			require.NoError(t, err)
			chain(t, b, 0, 5, c.terminated, c.truncated)
			if c.cut {
				b.Cut(0)
			}
			if name != "running" {
				chain(t, b, 5, 20, false, false) // goes on where the last one ended
			}
			var batch replay.Batch
			require.NoError(t, b.Sample(&batch, 2000, rand.New(rand.NewPCG(1, 1))))
			wants := map[float32]want{
				0: {1.75, 3, 0.125}, 2: {1.75, 5, 0.125}, 3: {1.5, 5, 0.25}, 4: c.last,
			}
			if c.terminated {
				wants[2], wants[3] = want{1.75, 5, 0}, want{1.5, 5, 0}
			}
			seen := map[float32]bool{}
			for i := range batch.N {
				if w, ok := wants[batch.Obs[i]]; ok {
					seen[batch.Obs[i]] = true
					require.Equal(t, w, want{batch.Reward[i], batch.Next[i], batch.Discount[i]}, "from %v", batch.Obs[i])
				}
				require.Equal(t, float32(1), batch.Weight[i])
			}
			require.Len(t, seen, 4)
		})
	}
}

// Episodes of eight steps fill a buffer to its capacity by default; shorter ones
// take some of it away, or none with SpareEnds for them.
func TestCapacityAndEpisodeLength(t *testing.T) {
	for _, c := range []struct{ steps, spare, want int }{
		{1000, 0, 800}, {8, 0, 800}, {2, 0, 600}, {1, 0, 450}, {1, 800, 800}, {2, 400, 800},
	} {
		b, err := replay.New(replay.Config{Capacity: 800, Copies: 1, ObsDim: 1, ActDim: 1, SpareEnds: c.spare})
		require.NoError(t, err)
		for at := 0; at < 5000; at += c.steps {
			chain(t, b, at, c.steps, true, false)
		}
		require.InDelta(t, c.want, b.Len(), 1, "%+v", c)
	}
}

func TestUniformIsUniform(t *testing.T) {
	b, err := replay.New(replay.Config{Capacity: 60, Copies: 2, ObsDim: 1, ActDim: 1, Gamma: 1, SpareEnds: 60})
	require.NoError(t, err)
	for i := range 20 { // one copy has 20, with ends between them, the other 40
		require.NoError(t, b.Add(replay.Transition{Obs: []float32{float32(i)}, Action: []float32{0}, Next: []float32{-1}, Truncated: i%3 == 0}))
	}
	for i := range 25 {
		require.NoError(t, b.Add(replay.Transition{Copy: 1, Obs: []float32{float32(100 + i)}, Action: []float32{0}, Next: []float32{float32(101 + i)}}))
	}
	const n = 90_000
	require.Equal(t, 45, b.Len())
	counts := map[float32]int{}
	var batch replay.Batch
	rng := rand.New(rand.NewPCG(5, 5))
	for range n / 1000 {
		require.NoError(t, b.Sample(&batch, 1000, rng))
		for _, o := range batch.Obs {
			counts[o]++
		}
	}
	require.Len(t, counts, 45)
	chi := 0.0
	for _, k := range counts {
		chi += math.Pow(float64(k)-n/45, 2) / (n / 45)
	}
	require.Less(t, chi, 80.0, "χ² with 44 degrees of freedom; above 78.7 once in a thousand seeds")
}

func TestNoAllocations(t *testing.T) {
	for name, b := range map[string]replay.Buffer{
		"uniform":     build(t, replay.Config{Capacity: 500, Copies: 2, ObsDim: 17, ActDim: 6, NStep: 3, Gamma: 0.99}, false),
		"prioritized": build(t, replay.Config{Capacity: 500, Copies: 2, ObsDim: 17, ActDim: 6, NStep: 3, Gamma: 0.99}, true),
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			obs, action, next := make([]float32, 17), make([]float32, 6), make([]float32, 17)
			errors := make([]float32, 256)
			var batch replay.Batch
			i := 0
			once := func() {
				obs, next = next, obs
				next[0] = float32(i)
				err := b.Add(replay.Transition{Copy: i / 7 % 2, Obs: obs, Action: action, Next: next, Terminated: i%7 == 0})
				if err == nil {
					err = b.Sample(&batch, 256, rng)
				}
				if p, ok := b.(replay.Prioritizer); ok {
					p.Reprioritize(batch.Index, errors)
				}
				if err != nil {
					t.Error(err)
				}
				i++
			}
			once()
			require.Zero(t, testing.AllocsPerRun(100, once))
		})
	}
}

// One writer and one reader at once: whatever is drawn is a transition that was
// added, whole. The race detector watches.
func TestOneWriterOneReader(t *testing.T) {
	for _, prioritized := range []bool{false, true} {
		t.Run(fmt.Sprint(prioritized), func(t *testing.T) {
			b := build(t, replay.Config{Capacity: 64, Copies: 2, ObsDim: 3, ActDim: 2, NStep: 2, Gamma: 1}, prioritized)
			require.NoError(t, b.Add(writerStep(0)))
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 1; i < 20_000; i++ {
					if err := b.Add(writerStep(i)); err != nil {
						t.Error(err)
						return
					}
					if i%50 == 0 {
						b.Cut(i % 2)
					}
				}
			})
			var batch replay.Batch
			rng := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				require.NoError(t, b.Sample(&batch, 32, rng))
				require.Positive(t, b.Len())
				for i := range 32 {
					v := batch.Obs[3*i]
					require.Equal(t, []float32{v, v, v, v, v}, append(batch.Obs[3*i:3*i+3:3*i+3], batch.Action[2*i:2*i+2]...))
					k := batch.Next[3*i] - v // steps of 2, one for each copy
					require.Contains(t, []float32{2, 4}, k)
					require.Equal(t, k/2*v+(k/2-1)*2, batch.Reward[i])
				}
				if p, ok := b.(replay.Prioritizer); ok {
					p.Reprioritize(batch.Index, batch.Weight)
				}
			}
			wg.Wait()
		})
	}
}

func writerStep(i int) replay.Transition {
	v := float32(i)
	return replay.Transition{
		Copy: i % 2, Obs: []float32{v, v, v}, Action: []float32{v, v}, Next: []float32{v + 2, v + 2, v + 2},
		Reward: v, Truncated: i%11 == 0,
	}
}

// Sets the resident memory against what Bytes promises.
func BenchmarkResidentMemory(b *testing.B) {
	for _, copies := range []int{1, 8} {
		b.Run(fmt.Sprintf("copies=%d", copies), func(b *testing.B) {
			for b.Loop() {
				debug.FreeOSMemory()
				before := resident(b)
				c := walker
				c.Copies = copies
				buf, err := replay.New(c)
				require.NoError(b, err)
				fillWalker(b, buf, copies, 2_300_000) // twice around
				require.Equal(b, 1_000_000, buf.Len())
				b.ReportMetric(float64(resident(b)-before)/1e6, "MB-resident")
				b.ReportMetric(float64(c.Bytes())/1e6, "MB-computed")
				runtime.KeepAlive(buf)
			}
		})
	}
}

// resident is the memory of this process that is in use, in bytes.
func resident(b *testing.B) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	var kib int64
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "VmRSS: %d kB", &kib)
	}
	return kib << 10
}

// fillWalker adds episodes of 250 steps.
func fillWalker(b *testing.B, buf replay.Buffer, copies, n int) {
	obs, next, action := make([]float32, 17), make([]float32, 17), make([]float32, 6)
	for i := range n {
		obs[0], next[0] = float32(i/copies), float32(i/copies+1)
		require.NoError(b, buf.Add(replay.Transition{Copy: i % copies, Obs: obs, Action: action, Next: next, Truncated: i/copies%250 == 249}))
	}
}

func BenchmarkSample(b *testing.B) {
	prioritized, err := replay.NewPrioritized(walker, replay.DefaultPriority(1e6))
	require.NoError(b, err)
	uniform, err := replay.New(walker)
	require.NoError(b, err)
	for name, buf := range map[string]replay.Buffer{"uniform": uniform, "prioritized": prioritized} {
		fillWalker(b, buf, 1, 1_000_000)
		for _, n := range []int{100, 256} {
			b.Run(fmt.Sprintf("%s/n=%d", name, n), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 1))
				var batch replay.Batch
				b.ReportAllocs()
				for b.Loop() {
					if err := buf.Sample(&batch, n, rng); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	buf, err := replay.New(walker)
	require.NoError(b, err)
	obs, next, action := make([]float32, 17), make([]float32, 17), make([]float32, 6)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		obs[0], next[0] = float32(i), float32(i+1)
		if err := buf.Add(replay.Transition{Obs: obs, Action: action, Next: next, Truncated: i%250 == 249}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkSaveAndLoad(b *testing.B) {
	buf, err := replay.New(walker)
	require.NoError(b, err)
	fillWalker(b, buf, 1, 1_000_000)
	path := filepath.Join(b.TempDir(), "replay.bin")
	b.Run("save", func(b *testing.B) {
		b.SetBytes(buf.SaveBytes())
		for b.Loop() {
			f, err := os.Create(path)
			require.NoError(b, err)
			require.NoError(b, buf.Save(f))
			require.NoError(b, f.Close())
		}
	})
	b.Run("load", func(b *testing.B) {
		b.SetBytes(buf.SaveBytes())
		for b.Loop() {
			f, err := os.Open(path)
			require.NoError(b, err)
			require.NoError(b, buf.Load(f))
			require.NoError(b, f.Close())
		}
	})
}
