package checkpoint_test

import (
	"os"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/replay"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// A checkpoint of the main job when its replay memory is full: a million
// Walker2d transitions, and about the variables of its learner with Adam's moments.
func BenchmarkFullCheckpoint(b *testing.B) {
	c := replay.Config{Capacity: 1_000_000, Copies: 1, ObsDim: 17, ActDim: 6, Gamma: 0.99}
	buf, err := replay.New(c)
	require.NoError(b, err)
	obs, next, action := make([]float32, 17), make([]float32, 17), make([]float32, 6)
	for i := range c.Capacity {
		obs[0], next[0] = float32(i), float32(i+1)
		require.NoError(b, buf.Add(replay.Transition{Obs: obs, Action: action, Next: next, Truncated: i%250 == 249}))
	}
	store := model.NewStore()
	_, err = store.CreateVariable("/all", tensors.FromShape(shapes.Make(dtypes.Float32, 900_000)))
	require.NoError(b, err)

	root := b.TempDir()
	save := func(b *testing.B) {
		_, err := checkpoint.Write(root, 1_000_000, func(w *checkpoint.Writer) error {
			if err := w.Store("agent", store); err != nil {
				return err
			}
			return w.File("replay.bin", buf.Save)
		})
		require.NoError(b, err)
		_, err = checkpoint.Prune(root, 1, 0)
		require.NoError(b, err)
	}
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			save(b)
		}
	})
	save(b)
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			c, _, err := checkpoint.Latest(root)
			require.NoError(b, err)
			require.NoError(b, c.Store("agent", store))
			require.NoError(b, c.File("replay.bin", buf.Load))
		}
	})
	b.Run("disk", func(b *testing.B) { // the same number of bytes, written and synced
		data := make([]byte, buf.SaveBytes())
		for b.Loop() {
			f, err := os.CreateTemp(root, "plain")
			require.NoError(b, err)
			_, err = f.Write(data)
			require.NoError(b, err)
			require.NoError(b, f.Sync())
			require.NoError(b, f.Close())
			require.NoError(b, os.Remove(f.Name()))
		}
	})
}
