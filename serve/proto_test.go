package serve_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stein-rl/stein/internal/python"
)

// Ensure that the generated code is up to date with the schema; `make proto` updates it.
func TestGeneratedCodeIsFresh(t *testing.T) {
	python, err := python.Find("")
	if err != nil {
		t.Fatal(err)
	}
	fresh := t.TempDir()
	generate := exec.Command("../proto/generate.sh", fresh)
	generate.Env = append(os.Environ(), "PYTHON="+python)
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	for _, path := range []string{
		"serve/servepb/serve.pb.go", "serve/servepb/serve_grpc.pb.go",
		"python_env/stein_env/serve_pb2.py", "python_env/stein_env/serve_pb2.pyi",
	} {
		want, err := os.ReadFile(filepath.Join(fresh, path))
		if err != nil {
			t.Fatal(err)
		}
		if have, err := os.ReadFile(filepath.Join("..", path)); err != nil || !bytes.Equal(want, have) {
			t.Errorf("%s is stale: run `make proto` (%v)", path, err)
		}
	}
}
