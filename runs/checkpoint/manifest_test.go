package checkpoint

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a manifest says: an error, or names of files within the checkpoint's own
// folder, each once, with sums and sizes that can be compared.
func FuzzManifest(f *testing.F) {
	sum := "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, text := range []string{
		`{}`, `null`, `{"format":1,"step":-1}`, `{"format":1,"step":5,"figure":1e308,"files":[{"name":"a.json","size":0,"sha256":"` + sum + `"}]}`,
		`{"files":[{"name":"../a","sha256":"` + sum + `"}]}`, `{"files":[{"name":"a","size":-1,"sha256":"` + sum + `"}]}`,
		`{"files":[{"name":"a","sha256":"` + sum[1:] + `"}]}`, `{"files":[{"name":"manifest.json","sha256":"` + sum + `"}]}`,
		`{"time":"0000-01-01T00:00:00Z","step":9223372036854775807}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, m.Step, int64(0))
		seen := map[string]bool{}
		for _, file := range m.Files {
			require.Equal(t, file.Name, filepath.Base(file.Name))
			require.True(t, filepath.IsLocal(file.Name) && !seen[file.Name], file.Name)
			require.Len(t, mustHex(file.SHA256), 32)
			require.GreaterOrEqual(t, file.Size, int64(0))
			seen[file.Name] = true
		}
		again, err := json.Marshal(m)
		require.NoError(t, err)
		back, err := parseManifest(again)
		require.NoError(t, err)
		require.Equal(t, m.Files, back.Files)
		require.True(t, m.Time.Equal(back.Time) && m.Step == back.Step)
	})
}
