//go:build unix

package envbridge

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ensure that folders made at the same time, each of which sweeps first, are all there and
// locked: none is swept between the making of its lock and the locking.
func TestFoldersMadeTogether(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for range 100 {
		const count = 8
		dirs, errs := make([]*socketDir, count), make([]error, count)
		var wait sync.WaitGroup
		for i := range count {
			wait.Go(func() { dirs[i], errs[i] = newSocketDir() })
		}
		wait.Wait()
		for i, d := range dirs {
			require.NoError(t, errs[i])
			require.FileExists(t, filepath.Join(d.path, lockName))
			require.NoError(t, d.remove())
		}
	}
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
}
