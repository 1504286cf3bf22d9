package checkpoint

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// An older checkpoint is brought up version by version, in memory.
func TestMigrate(t *testing.T) {
	root := t.TempDir()
	path, err := Write(root, 7, func(w *Writer) error { return w.JSON("state", map[string]int{"steps": 7}) })
	require.NoError(t, err)
	c, err := Open(path)
	require.NoError(t, err)

	rename := func(from, to string) migration {
		return func(c *Checkpoint) error {
			old := map[string]int{}
			if err := c.JSON("state", &old); err != nil {
				return err
			}
			data, err := json.Marshal(map[string]int{to: old[from]})
			c.migrated = map[string][]byte{"state.json": data}
			return err
		}
	}
	table := map[int]migration{Format: rename("steps", "count"), Format + 1: rename("count", "step")}
	require.NoError(t, c.migrate(table, Format+2))
	var now struct{ Step int }
	require.NoError(t, c.JSON("state", &now))
	require.Equal(t, 7, now.Step)
	require.NoError(t, c.File("state.json", func(in io.Reader) error {
		data, err := io.ReadAll(in)
		require.EqualValues(t, len(data), c.size("state.json"))
		return err
	}))

	var v *VersionError
	require.ErrorAs(t, c.migrate(table, Format+3), &v)
	require.Equal(t, Format, v.Found)
	require.Equal(t, Format+3, v.Readable)

	boom := errors.New("boom")
	err = c.migrate(map[int]migration{Format: func(*Checkpoint) error { return boom }}, Format+1)
	require.ErrorIs(t, err, boom)
	require.ErrorContains(t, err, "from format 1 to 2")
}
