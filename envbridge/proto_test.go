package envbridge_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/internal/python"
)

// Ensure that the generated code is that of the schema: `make proto` mends it.
func TestGeneratedCodeIsFresh(t *testing.T) {
	python, err := python.Find("")
	require.NoError(t, err)
	fresh := t.TempDir()
	generate := exec.Command("../proto/generate.sh", fresh)
	generate.Env = append(os.Environ(), "PYTHON="+python)
	out, err := generate.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, path := range []string{
		"envbridge/envpb/env.pb.go", "python_env/stein_env/env_pb2.py", "python_env/stein_env/env_pb2.pyi",
	} {
		want, err := os.ReadFile(filepath.Join(fresh, path))
		require.NoError(t, err)
		have, err := os.ReadFile(filepath.Join("..", path))
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), "%s is stale: run `make proto`", path)
	}
}
