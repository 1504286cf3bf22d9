package checkpoint_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/runs/checkpoint"
)

// A state is the JSON of these tests. Its Random number does not fit in a float64.
type state struct {
	Step   int64   `json:"step"`
	Random uint64  `json:"random"`
	Mean   float64 `json:"mean"`
}

func stateAt(step int64) state {
	return state{step, math.MaxUint64 - uint64(step), math.Nextafter(float64(step)/3, 1)}
}

// replayAt is the content of the large file at a step.
func replayAt(step int64) []byte {
	data := make([]byte, 5000)
	rng := rand.New(rand.NewPCG(uint64(step), 1))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

func write(t *testing.T, root string, step int64, figure float64) string {
	t.Helper()
	path, err := checkpoint.Write(root, step, func(w *checkpoint.Writer) error {
		w.Figure(figure)
		return fill(w, step)
	})
	require.NoError(t, err)
	return path
}

func fill(w *checkpoint.Writer, step int64) error {
	return errors.Join(
		w.JSON("state", stateAt(step)),
		w.File("replay.bin", func(out io.Writer) error {
			_, err := out.Write(replayAt(step))
			return err
		}))
}

// check reads everything back and compares it.
func check(t *testing.T, c *checkpoint.Checkpoint, step int64) {
	t.Helper()
	require.Equal(t, step, c.Manifest.Step)
	var s state
	require.NoError(t, c.JSON("state", &s))
	require.Equal(t, stateAt(step), s)
	require.NoError(t, c.File("replay.bin", func(in io.Reader) error {
		data, err := io.ReadAll(in)
		require.Equal(t, replayAt(step), data)
		return err
	}))
}

// names lists a folder, hidden files too.
func names(t *testing.T, root string) []string {
	t.Helper()
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWriteThenLatest(t *testing.T) {
	root := filepath.Join(t.TempDir(), "run", "checkpoints")
	for _, step := range []int64{0, 5000, 1_000_000_000} {
		path := write(t, root, step, 1)
		require.Equal(t, fmt.Sprintf("step-%09d", step), filepath.Base(path))
		c, skipped, err := checkpoint.Latest(root)
		require.NoError(t, err)
		require.Empty(t, skipped)
		require.Equal(t, path, c.Path)
		check(t, c, step)
		require.True(t, c.Has("replay.bin"))
		require.False(t, c.Has("other.bin"))
		require.EqualValues(t, len(replayAt(step))+int(c.Manifest.Files[0].Size), c.Manifest.Size())
	}
	require.Len(t, names(t, root), 3)
}

// A second checkpoint of one step must not touch the first before it is there.
func TestSameStepTwice(t *testing.T) {
	root := t.TempDir()
	first := write(t, root, 100, 1)
	second := write(t, root, 100, 2)
	require.NotEqual(t, first, second)
	c, _, err := checkpoint.Latest(root)
	require.NoError(t, err)
	require.Equal(t, second, c.Path)

	removed, err := checkpoint.Prune(root, 3, 0)
	require.NoError(t, err)
	require.Equal(t, []string{first}, removed)
	require.Equal(t, []string{filepath.Base(second)}, names(t, root))
}

func TestReplayLeftOut(t *testing.T) {
	root := t.TempDir()
	_, err := checkpoint.Write(root, 1, func(w *checkpoint.Writer) error { return w.JSON("state", stateAt(1)) })
	require.NoError(t, err)
	c, _, err := checkpoint.Latest(root)
	require.NoError(t, err)
	err = c.File("replay.bin", func(io.Reader) error { return nil })
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "replay.bin")
}

func TestFailureLeavesNothing(t *testing.T) {
	root := t.TempDir()
	write(t, root, 1, 1)
	boom := errors.New("the disk is on fire")
	for name, fillBadly := range map[string]func(w *checkpoint.Writer) error{
		"fill":   func(w *checkpoint.Writer) error { return errors.Join(fill(w, 2), boom) },
		"writer": func(w *checkpoint.Writer) error { return w.File("a", func(io.Writer) error { return boom }) },
	} {
		t.Run(name, func(t *testing.T) {
			path, err := checkpoint.Write(root, 2, fillBadly)
			require.ErrorIs(t, err, boom)
			require.Empty(t, path)
			require.Equal(t, []string{"step-000000001"}, names(t, root))
		})
	}
	c, _, err := checkpoint.Latest(root)
	require.NoError(t, err)
	check(t, c, 1)
}

func TestBadNamesAndValues(t *testing.T) {
	root := t.TempDir()
	nothing := func(io.Writer) error { return nil }
	for _, name := range []string{"", "../escape", "a/b", ".hidden", "manifest.json", "twice"} {
		_, err := checkpoint.Write(root, 1, func(w *checkpoint.Writer) error {
			return errors.Join(w.File("twice", nothing), w.File(name, nothing))
		})
		require.ErrorContains(t, err, fmt.Sprintf("%q", name))
	}
	_, err := checkpoint.Write(root, 1, func(w *checkpoint.Writer) error {
		return w.JSON("state", state{Mean: math.NaN()})
	})
	require.ErrorContains(t, err, "state.json")
	_, err = checkpoint.Write(root, -1, func(*checkpoint.Writer) error { return nil })
	require.ErrorContains(t, err, "step -1")
}

func TestNothingThere(t *testing.T) {
	_, _, err := checkpoint.Latest(filepath.Join(t.TempDir(), "no-such-run"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "no-such-run")
	_, _, err = checkpoint.Latest(t.TempDir())
	require.ErrorIs(t, err, checkpoint.ErrNone)
	_, err = checkpoint.Open(t.TempDir())
	require.ErrorContains(t, err, "not a checkpoint")
}

// Whatever file loses its tail, or a bit, at whatever place: the checkpoint before
// is taken, and the damaged one is named.
func TestDamageFallsBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		root := t.TempDir()
		write(t, root, 1, 1)
		bad := write(t, root, 2, 1)
		file := []string{"manifest.json", "state.json", "replay.bin"}[rng.IntN(3)]
		path := filepath.Join(bad, file)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		if rng.IntN(2) == 0 {
			data = data[:rng.IntN(len(data)-1)] // all but the last line feed matter
		} else {
			data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
		}
		require.NoError(t, os.WriteFile(path, data, 0o644))

		c, skipped, err := checkpoint.Latest(root)
		if file == "manifest.json" && err == nil && len(skipped) == 0 {
			check(t, c, 2) // a flipped bit in its date or version changes no state
			continue
		}
		require.NoError(t, err)
		check(t, c, 1)
		require.Len(t, skipped, 1)
		require.Equal(t, bad, skipped[0].Path)
		require.ErrorContains(t, skipped[0].Err, bad)
	}
}

func TestAllDamaged(t *testing.T) {
	root := t.TempDir()
	for step := range int64(2) {
		require.NoError(t, os.Truncate(filepath.Join(write(t, root, step, 1), "replay.bin"), 10))
	}
	_, skipped, err := checkpoint.Latest(root)
	require.ErrorIs(t, err, checkpoint.ErrNone)
	require.ErrorContains(t, err, "step-000000001")
	require.Len(t, skipped, 2)
}

func TestBest(t *testing.T) {
	root := t.TempDir()
	for step, figure := range []float64{3, 7, 7, math.NaN(), -2} {
		write(t, root, int64(step), figure)
	}
	c, skipped, err := checkpoint.Best(root)
	require.NoError(t, err)
	require.Empty(t, skipped)
	check(t, c, 2) // of equals the later one

	require.NoError(t, os.Truncate(filepath.Join(c.Path, "state.json"), 3))
	c, skipped, err = checkpoint.Best(root)
	require.NoError(t, err)
	require.Len(t, skipped, 1)
	check(t, c, 1)
}

func TestPruneKeepsLastAndBest(t *testing.T) {
	root := t.TempDir()
	for step, figure := range []float64{1, 9, 2, 8, 3, 4} {
		write(t, root, int64(step), figure)
	}
	require.NoError(t, os.Mkdir(filepath.Join(root, "my notes"), 0o755))
	removed, err := checkpoint.Prune(root, 2, 1)
	require.NoError(t, err)
	require.Len(t, removed, 3)
	require.Equal(t, []string{"my notes", "step-000000001", "step-000000004", "step-000000005"}, names(t, root))
	_, err = checkpoint.Prune(root, 0, 1)
	require.ErrorContains(t, err, "last one must be kept")
}

// A damaged checkpoint must not take the place of a good one.
func TestPruneDoesNotCountDamaged(t *testing.T) {
	root := t.TempDir()
	for step := range int64(5) {
		write(t, root, step, 0)
	}
	for _, step := range []string{"step-000000002", "step-000000004"} {
		require.NoError(t, os.Remove(filepath.Join(root, step, "replay.bin")))
	}
	_, err := checkpoint.Prune(root, 2, 0)
	require.NoError(t, err)
	// 3 and 1 are usable; 4 is newer than they are, and left for its owner to see.
	require.Equal(t, []string{"step-000000001", "step-000000003", "step-000000004"}, names(t, root))
}

func TestOtherVersion(t *testing.T) {
	root := t.TempDir()
	write(t, root, 1, 1)
	path := write(t, root, 2, 1)
	for _, format := range []int{checkpoint.Format + 1, 0} {
		editManifest(t, path, func(m map[string]any) { m["format"], m["stein"] = format, "v9.8.7" })
		c, _, err := checkpoint.Latest(root)
		require.Nil(t, c, "a run must not go back silently")
		var v *checkpoint.VersionError
		require.ErrorAs(t, err, &v)
		require.ErrorContains(t, err, fmt.Sprintf("format %d", format))
		require.ErrorContains(t, err, fmt.Sprintf("format %d", checkpoint.Format))
		require.ErrorContains(t, err, "v9.8.7")
	}
}

func editManifest(t *testing.T, path string, edit func(map[string]any)) {
	t.Helper()
	file := filepath.Join(path, "manifest.json")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	m := map[string]any{}
	require.NoError(t, json.Unmarshal(data, &m))
	edit(m)
	data, err = json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, data, 0o644))
}

// A manifest is untrusted: it must not lead out of its folder.
func TestManifestCannotEscape(t *testing.T) {
	path := write(t, t.TempDir(), 1, 1)
	editManifest(t, path, func(m map[string]any) {
		m["files"].([]any)[0].(map[string]any)["name"] = "../../etc/passwd"
	})
	_, err := checkpoint.Open(path)
	require.ErrorContains(t, err, "../../etc/passwd")
}

func TestJSONUnknownField(t *testing.T) {
	root := t.TempDir()
	_, err := checkpoint.Write(root, 1, func(w *checkpoint.Writer) error {
		return w.JSON("state", map[string]any{"step": 1, "momentum": 2})
	})
	require.NoError(t, err)
	c, _, err := checkpoint.Latest(root)
	require.NoError(t, err)
	require.ErrorContains(t, c.JSON("state", &state{}), "momentum")
}

// The large file streams: a writer of many small pieces gives what one piece gives.
func TestFileStreams(t *testing.T) {
	root := t.TempDir()
	piece := []byte(strings.Repeat("0123456789abcdef", 4))
	path, err := checkpoint.Write(root, 1, func(w *checkpoint.Writer) error {
		return w.File("big", func(out io.Writer) error {
			for range 100_000 {
				if _, err := out.Write(piece); err != nil {
					return err
				}
			}
			return nil
		})
	})
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(path, "big"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(bytes.Repeat(piece, 100_000), data))
}
