package envbridge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/stein-rl/stein/internal/venv"
	pythonenv "github.com/stein-rl/stein/python_env"
)

// ErrNoPython is wrapped by FindPython's error.
var ErrNoPython = errors.New("no Python found")

// FindPython returns the interpreter for local workers: the explicit one, else
// $STEIN_PYTHON, that of the first virtual environment (venv.Find), python3 on PATH.
func FindPython(explicit string) (string, error) {
	for _, named := range []string{explicit, os.Getenv("STEIN_PYTHON")} {
		if named == "" {
			continue
		}
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("envbridge: %w: %s: %w", ErrNoPython, named, err)
		}
		return path, nil
	}
	for _, dir := range venv.Find() {
		if path := venv.Python(dir); executable(path) {
			return path, nil
		}
	}
	if path, err := exec.LookPath("python3"); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("envbridge: %w: looked at $STEIN_PYTHON, $VIRTUAL_ENV, .venv here and above, the environment of stein setup, and python3 on PATH; install Python %s or newer, then %s", ErrNoPython, venv.Oldest, venv.Remedy(""))
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// WritePython writes the Python package stein_env, as this program carries it, into
// dir, and returns the variables under which an interpreter finds it there first.
func WritePython(dir string) (env []string, err error) {
	err = fs.WalkDir(pythonenv.Source, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(path))
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		data, err := pythonenv.Source.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o600)
	})
	if err != nil {
		return nil, fmt.Errorf("envbridge: writing the Python package: %w", err)
	}
	search := dir
	if old := os.Getenv("PYTHONPATH"); old != "" {
		search += string(os.PathListSeparator) + old
	}
	return []string{"PYTHONPATH=" + search, "PYTHONUNBUFFERED=1"}, nil
}
