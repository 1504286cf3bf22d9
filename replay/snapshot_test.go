package replay_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/replay"
)

var small = replay.Config{Capacity: 40, Copies: 3, ObsDim: 2, ActDim: 1, NStep: 3, Gamma: 0.9}

// filled has gone around its rings several times, and has an episode under way.
func filled(t testing.TB, prioritized bool) buffer {
	t.Helper()
	b := build(t, small, prioritized)
	rng := rand.New(rand.NewPCG(11, 12))
	d := newDriver(small, rng, 0.1)
	for range 200 {
		require.NoError(t, b.Add(d.step()))
	}
	if p, ok := b.(replay.Prioritizer); ok {
		var batch replay.Batch
		require.NoError(t, b.Sample(&batch, 20, rng))
		p.Reprioritize(batch.Index, batch.Reward)
	}
	return b
}

func saved(t testing.TB, b buffer) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, b.Save(&out))
	require.EqualValues(t, out.Len(), b.SaveBytes())
	return out.Bytes()
}

// Saved and loaded, the same random numbers draw the same minibatches, now and
// after as many more transitions, and the bytes are the same again.
func TestLoadDrawsTheSame(t *testing.T) {
	for _, prioritized := range []bool{false, true} {
		t.Run(fmt.Sprint(prioritized), func(t *testing.T) {
			b := filled(t, prioritized)
			data := saved(t, b)
			again := build(t, small, prioritized)
			require.NoError(t, again.Add(replay.Transition{Copy: 2, Obs: []float32{9, 9}, Action: []float32{9}, Next: []float32{9, 9}})) // replaced
			require.NoError(t, again.Load(iotest.OneByteReader(bytes.NewReader(data))))
			require.Equal(t, data, saved(t, again))

			rng1, rng2 := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
			d := newDriver(small, rand.New(rand.NewPCG(3, 3)), 0.1)
			var want, got replay.Batch
			for range 100 {
				s := d.step()
				require.NoError(t, errors.Join(b.Add(s), again.Add(s)))
				require.NoError(t, errors.Join(b.Sample(&want, 16, rng1), again.Sample(&got, 16, rng2)))
				require.Equal(t, want, got)
				if p, ok := b.(replay.Prioritizer); ok {
					p.Reprioritize(want.Index, want.Obs[:16])
					again.(replay.Prioritizer).Reprioritize(got.Index, got.Obs[:16])
				}
			}
		})
	}
}

func TestEmptyRoundTrip(t *testing.T) {
	for _, prioritized := range []bool{false, true} {
		b := build(t, small, prioritized)
		require.NoError(t, b.Load(bytes.NewReader(saved(t, b))))
		require.Zero(t, b.Len())
	}
}

func TestLoadMismatch(t *testing.T) {
	data := saved(t, filled(t, false))
	for want, change := range map[string]func(c *replay.Config){
		"Capacity 40, this run's has 41": func(c *replay.Config) { c.Capacity = 41 },
		"Copies 3, this run's has 4":     func(c *replay.Config) { c.Copies = 4 },
		"ObsDim 2, this run's has 17":    func(c *replay.Config) { c.ObsDim = 17 },
		"ActDim 1, this run's has 6":     func(c *replay.Config) { c.ActDim = 6 },
		"SpareEnds 5, this run's has 7":  func(c *replay.Config) { c.SpareEnds = 7 },
	} {
		c := small
		change(&c)
		err := build(t, c, false).Load(bytes.NewReader(data))
		require.ErrorContains(t, err, want)
	}
	err := build(t, small, true).Load(bytes.NewReader(data))
	require.ErrorContains(t, err, "holds a uniform buffer, this run's is prioritized")

	c := small // what to look ahead is no part of the content
	c.NStep, c.Gamma = 1, 0.5
	require.NoError(t, build(t, c, false).Load(bytes.NewReader(data)))

	newer := bytes.Clone(data)
	newer[8] = 2
	require.ErrorContains(t, build(t, small, false).Load(bytes.NewReader(newer)), "format version 2; this program reads version 1")
	require.ErrorContains(t, build(t, small, false).Load(bytes.NewReader([]byte("PK\x03\x04 a zip file, of all things"))), "not a saved replay buffer")
}

// Any missing tail and any flipped bit is an error, and leaves an empty buffer
// that works.
func TestLoadDamaged(t *testing.T) {
	for _, prioritized := range []bool{false, true} {
		data := saved(t, filled(t, prioritized))
		b := build(t, small, prioritized)
		check := func(data []byte) {
			t.Helper()
			require.Error(t, b.Load(bytes.NewReader(data)))
			require.Zero(t, b.Len())
			require.Error(t, b.Sample(&replay.Batch{}, 1, rand.New(rand.NewPCG(1, 1))))
		}
		for n := range data {
			check(data[:n])
			flipped := bytes.Clone(data)
			flipped[n] ^= 1 << (n % 8)
			check(flipped)
		}
		check(append(bytes.Clone(data), 0))
		require.ErrorIs(t, b.Load(bytes.NewReader(data[:100])), io.ErrUnexpectedEOF)
		require.NoError(t, b.Add(replay.Transition{Obs: []float32{1, 2}, Action: []float32{0}, Next: []float32{3, 4}}))
		require.NoError(t, b.Load(bytes.NewReader(data)))
	}
}

func TestSaveReportsTheWriter(t *testing.T) {
	boom := errors.New("boom")
	require.ErrorIs(t, filled(t, true).Save(failing{boom}), boom)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// A content that is damaged behind a valid sum must do no harm either: no panic,
// no endless draw. The input is everything but the sum.
func FuzzLoad(f *testing.F) {
	for _, prioritized := range []bool{false, true} {
		data := saved(f, filled(f, prioritized))
		f.Add(data[:len(data)-4], prioritized)
	}
	f.Fuzz(func(t *testing.T, data []byte, prioritized bool) {
		b := build(t, small, prioritized)
		if b.Load(bytes.NewReader(binary.LittleEndian.AppendUint32(bytes.Clone(data), crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))))) != nil {
			require.Zero(t, b.Len())
			return
		}
		rng := rand.New(rand.NewPCG(1, 1))
		var batch replay.Batch
		if b.Len() > 0 {
			require.NoError(t, b.Sample(&batch, 32, rng))
		}
		d := newDriver(small, rng, 0.2)
		for range 60 {
			require.NoError(t, b.Add(d.step()))
			require.NoError(t, b.Sample(&batch, 8, rng))
		}
	})
}
