package replay_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/replay"
)

// naive is a buffer without any of the ring's tricks: it keeps all transitions
// of each copy, whole, and knows only how many of them count.
type naive struct {
	config replay.Config
	copies [][]naiveStep
}

type naiveStep struct {
	replay.Transition
	ends bool // nothing follows it
}

func newNaive(c replay.Config) *naive {
	return &naive{c, make([][]naiveStep, c.Copies)}
}

func (n *naive) add(t replay.Transition) {
	t.Obs, t.Action, t.Next = slices.Clone(t.Obs), slices.Clone(t.Action), slices.Clone(t.Next)
	n.copies[t.Copy] = append(n.copies[t.Copy], naiveStep{t, t.Terminated || t.Truncated})
}

func (n *naive) cut(c int) {
	if s := n.copies[c]; len(s) > 0 {
		s[len(s)-1].ends = true
	}
}

// A row is one row of a Batch, of up to 3 observations and 2 actions.
type row struct {
	obs, next        [3]float32
	action           [2]float32
	reward, discount float32
}

func rowOf(obs, action, next []float32, reward, discount float32) (r row) {
	copy(r.obs[:], obs)
	copy(r.next[:], next)
	copy(r.action[:], action)
	r.reward, r.discount = reward, discount
	return r
}

// rows are all that Sample may answer for the newest count transitions of a copy.
func (n *naive) rows(c, count int) []row {
	steps := n.copies[c]
	var rows []row
	for i := len(steps) - count; i < len(steps); i++ {
		reward, discount := 0.0, 1.0
		j := i
		for k := 0; ; k++ {
			j = i + k
			reward += discount * float64(steps[j].Reward)
			discount *= n.config.Gamma
			if k+1 == n.config.NStep || steps[j].ends || j+1 == len(steps) {
				break
			}
		}
		if steps[j].Terminated {
			discount = 0
		}
		rows = append(rows, rowOf(steps[i].Obs, steps[i].Action, steps[j].Next, float32(reward), float32(discount)))
	}
	return rows
}

// A driver makes up transitions of environments with random episodes.
type driver struct {
	rng  *rand.Rand
	now  [][]float32 // the observation of each copy
	ends float64     // probability of an end at each step
	next float32
	c    replay.Config
}

func newDriver(c replay.Config, rng *rand.Rand, ends float64) *driver {
	d := &driver{rng: rng, now: make([][]float32, c.Copies), ends: ends, c: c}
	for i := range d.now {
		d.now[i] = d.fresh(c.ObsDim)
	}
	return d
}

// fresh numbers are all different, so that a row tells where it comes from.
func (d *driver) fresh(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		d.next++
		v[i] = d.next
	}
	return v
}

func (d *driver) step() replay.Transition {
	t := replay.Transition{Copy: d.rng.IntN(d.c.Copies), Action: d.fresh(d.c.ActDim), Reward: d.rng.Float32() - 0.5}
	t.Obs, t.Next = d.now[t.Copy], d.fresh(d.c.ObsDim)
	d.now[t.Copy] = t.Next
	if d.rng.Float64() < d.ends {
		t.Terminated = d.rng.IntN(2) == 0
		t.Truncated = !t.Terminated || d.rng.IntN(4) == 0
		d.now[t.Copy] = d.fresh(d.c.ObsDim)
	}
	return t
}

// lose is a worker that was replaced: its copy starts anew.
func (d *driver) lose(c int) { d.now[c] = d.fresh(d.c.ObsDim) }

type buffer interface {
	replay.Buffer
	replay.Saver
}

func build(t testing.TB, c replay.Config, prioritized bool) buffer {
	t.Helper()
	if prioritized {
		b, err := replay.NewPrioritized(c, replay.Priority{Alpha: 0.7, Epsilon: 0.1, Beta: 0.4, BetaSteps: 100})
		require.NoError(t, err)
		return b
	}
	b, err := replay.New(c)
	require.NoError(t, err)
	return b
}

// Random operations on random shapes: what is drawn is always among what the
// naive model allows, all of it is drawn in the end, and as much is kept as was
// promised.
func TestAgainstNaiveModel(t *testing.T) {
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 7))
		c := replay.Config{
			Copies: 1 + rng.IntN(4), ObsDim: 1 + rng.IntN(3), ActDim: 1 + rng.IntN(2),
			NStep: 1 + rng.IntN(4), Gamma: []float64{0, 0.5, 0.99, 1}[rng.IntN(4)],
		}
		c.Capacity = c.Copies + rng.IntN(40)
		ends := []float64{0, 0.05, 0.3, 1}[rng.IntN(4)]
		if rng.IntN(2) == 0 {
			c.SpareEnds = c.Capacity + c.Copies // room for any episodes
		}
		b := build(t, c, seed%2 == 0)
		n, d := newNaive(c), newDriver(c, rng, ends)
		for range 400 {
			switch k := rng.IntN(20); {
			case k == 0:
				at := rng.IntN(c.Copies)
				b.Cut(at)
				n.cut(at)
				if rng.IntN(2) == 0 {
					d.lose(at)
				}
			case k == 1 && rng.IntN(3) == 0: // a lost worker that nobody cut
				at := rng.IntN(c.Copies)
				n.cut(at)
				d.lose(at)
			case k == 2:
				b = reload(t, c, b, seed%2 == 0)
			case k == 3 && b.Len() > 0:
				reprioritize(t, b, rng)
			default:
				s := d.step()
				require.NoError(t, b.Add(s))
				n.add(s)
			}
		}
		compare(t, b, n, rng)
	}
}

func reload(t *testing.T, c replay.Config, b buffer, prioritized bool) buffer {
	t.Helper()
	var file bytes.Buffer
	require.NoError(t, b.Save(&file))
	require.EqualValues(t, file.Len(), b.SaveBytes())
	again := build(t, c, prioritized)
	require.NoError(t, again.Load(&file))
	require.Equal(t, b.Len(), again.Len())
	return again
}

func reprioritize(t *testing.T, b buffer, rng *rand.Rand) {
	t.Helper()
	p, ok := b.(replay.Prioritizer)
	if !ok {
		return
	}
	var batch replay.Batch
	require.NoError(t, b.Sample(&batch, 8, rng))
	errs := make([]float32, 8)
	for i := range errs {
		errs[i] = rng.Float32()
	}
	p.Reprioritize(batch.Index, errs)
}

// compare draws so often that every transition comes up.
func compare(t *testing.T, b buffer, n *naive, rng *rand.Rand) {
	t.Helper()
	c := n.config
	require.LessOrEqual(t, b.Len(), c.Capacity)
	seen := map[row]bool{}
	var batch replay.Batch
	for range 60 {
		require.NoError(t, b.Sample(&batch, 64, rng))
		for i := range 64 {
			seen[rowOf(batch.Obs[i*c.ObsDim:(i+1)*c.ObsDim], batch.Action[i*c.ActDim:(i+1)*c.ActDim],
				batch.Next[i*c.ObsDim:(i+1)*c.ObsDim], batch.Reward[i], batch.Discount[i])] = true
		}
	}
	// Each copy keeps its newest; how many, the rows drawn tell.
	kept := 0
	for i := range c.Copies {
		capacity := c.Capacity / c.Copies
		if i < c.Capacity%c.Copies {
			capacity++
		}
		all := n.rows(i, min(capacity, len(n.copies[i])))
		first := slices.IndexFunc(all, func(r row) bool { return seen[r] })
		if first < 0 {
			first = len(all)
		}
		for _, r := range all[first:] {
			if !seen[r] {
				t.Fatalf("%+v of copy %d was never drawn", r, i)
			}
			delete(seen, r)
		}
		kept += len(all) - first
		if c.SpareEnds > 0 {
			require.Zero(t, first, "copy %d gave up %d transitions that it had room for", i, first)
		} else {
			require.GreaterOrEqual(t, 2*(len(all)-first)+1, len(all), "copy %d keeps less than half", i)
		}
	}
	require.Empty(t, seen, "rows that are none of the newest transitions")
	require.Equal(t, b.Len(), kept)
}
