// Package python finds a Python interpreter and runs the package stein_env in it: for
// simulator workers, the drivers of Ray and Optuna, doctor, `stein env check` and videos.
package python

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stein-rl/stein/internal/venv"
	pythonenv "github.com/stein-rl/stein/python_env"
)

// ErrNone is wrapped by Find's error.
var ErrNone = errors.New("no Python found")

// Find returns the interpreter to use: the explicit one, else $STEIN_PYTHON, else that of
// the first virtual environment (venv.Find), else python3 on PATH.
func Find(explicit string) (string, error) {
	for _, asked := range []struct{ by, named string }{{"", explicit}, {"STEIN_PYTHON=", os.Getenv("STEIN_PYTHON")}} {
		if asked.named == "" {
			continue
		}
		path, err := exec.LookPath(asked.named)
		if err != nil {
			if unfit := (*exec.Error)(nil); errors.As(err, &unfit) {
				err = unfit.Err // without the name, which is here already
			}
			return "", fmt.Errorf("python: %w: %s%s: %w", ErrNone, asked.by, asked.named, err)
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
	return "", fmt.Errorf("python: %w: looked at $STEIN_PYTHON, $VIRTUAL_ENV, .venv here and above, the environment of stein setup, and python3 on PATH; install Python %s or newer, then %s", ErrNone, venv.Oldest, venv.Remedy(""))
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Write writes the embedded package stein_env to dir, and returns the environment
// variables that make an interpreter import it first.
func Write(dir string) (env []string, err error) {
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
		return nil, fmt.Errorf("python: writing the package stein_env: %w", err)
	}
	search := dir
	if old := os.Getenv("PYTHONPATH"); old != "" {
		search += string(os.PathListSeparator) + old
	}
	return []string{"PYTHONPATH=" + search, "PYTHONUNBUFFERED=1"}, nil
}

// Command is exec.CommandContext for an interpreter, with env added to this program's
// environment. -P keeps files in the working directory from shadowing modules; stein_env
// appends that folder after the standard library.
func Command(ctx context.Context, interpreter string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, interpreter, append([]string{"-P"}, args...)...)
	cmd.Env = append(environ(interpreter), env...)
	return cmd
}

// environ is this program's environment without the variables that would break an
// interpreter.
func environ(interpreter string) []string {
	venv := isVirtual(interpreter)
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "PYTHONHOME":
			// It belongs to another Python. Activating a virtual environment removes it
			// too.
			return venv
		case "PYTHONINSPECT": // makes Python wait for input at its end
			return true
		}
		return false
	})
}

// isVirtual reports whether an interpreter belongs to a virtual environment.
func isVirtual(interpreter string) bool {
	path, err := exec.LookPath(interpreter)
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(filepath.Dir(filepath.Dir(path)), "pyvenv.cfg"))
	return err == nil
}
