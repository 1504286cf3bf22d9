// Package venv finds and creates the Python environment of simulators. It holds the
// packages of this program's requirements.txt, in those versions, and XLA's plugin.
package venv

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stein-rl/stein"
)

// Find lists the virtual environments of this machine that Stein may use, in order of
// preference: the active one ($VIRTUAL_ENV), .venv in the working folder and its parents,
// .venv beside the program and in its parents, and the one in Home if it is complete.
func Find() []string {
	var dirs []string
	if active := os.Getenv("VIRTUAL_ENV"); active != "" {
		dirs = append(dirs, active)
	}
	if wd, err := os.Getwd(); err == nil {
		dirs = append(dirs, upwards(wd)...)
	}
	if program, err := os.Executable(); err == nil {
		dirs = append(dirs, upwards(filepath.Dir(program))...)
	}
	if home, err := Home(); err == nil {
		if s, err := readStamp(home); err == nil && s.Done {
			dirs = append(dirs, home)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		_, err := os.Stat(dir)
		gone := seen[dir] || err != nil
		seen[dir] = true
		return gone
	})
}

// upwards lists .venv in dir and its parents.
func upwards(dir string) []string {
	var dirs []string
	for ; ; dir = filepath.Dir(dir) {
		dirs = append(dirs, filepath.Join(dir, ".venv"))
		if dir == filepath.Dir(dir) {
			return dirs
		}
	}
}

// Python is the interpreter of a virtual environment.
func Python(dir string) string { return filepath.Join(dir, "bin", "python") }

// Of is the virtual environment of an interpreter; "" for a system one.
func Of(python string) string {
	dir := filepath.Dir(filepath.Dir(python))
	if _, err := os.Stat(filepath.Join(dir, "pyvenv.cfg")); err != nil {
		return ""
	}
	return dir
}

// Remedy says what to run to install the packages for python, the interpreter that Stein
// uses on this machine, or "" if there is none. flags are the flags of stein setup for
// those packages.
func Remedy(python string, flags ...string) string {
	setup := strings.Join(append([]string{"stein setup"}, flags...), " ")
	home, err := Home()
	switch dir := Of(python); {
	case python == "" || dir == "" && os.Getenv("STEIN_PYTHON") == "" || err == nil && dir == home:
		return "`" + setup + "` makes a Python environment with all packages"
	case dir != "":
		return fmt.Sprintf("`%s --dir %q` installs all packages into the environment in use", setup, dir)
	default:
		return "unset STEIN_PYTHON and run `" + setup + "`, or install the packages there"
	}
}

// needed are the top-level modules that Stein's own Python code needs.
var needed = []string{"gymnasium", "numpy", "zmq", "google", "mujoco"}

// Missing reports which package a Python process lacked, given its last output, and how
// to install it; "" if it failed for another reason.
func Missing(python string, words []string) string {
	for _, line := range words {
		_, name, found := strings.Cut(line, "ModuleNotFoundError: No module named '")
		name, _, _ = strings.Cut(name, "'")
		name, _, _ = strings.Cut(name, ".")
		if found && slices.Contains(needed, name) {
			return fmt.Sprintf("%s has no package %s: %s", python, name, Remedy(python))
		}
	}
	return ""
}

// Home is the folder of the environment for this program's requirements, in the user's
// data folder. Each version of the requirements has its own.
func Home() (string, error) {
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // the XDG standard ignores relative paths
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("venv: no home folder to make a Python environment in: %w; set HOME, or choose a folder with --dir", err)
		}
		data = filepath.Join(home, ".local", "share")
	}
	sum, err := sumOf(stein.Requirements, base)
	if err != nil {
		return "", err
	}
	return filepath.Join(data, "stein", sum[:12], "venv"), nil
}

// sumOf is the SHA-256 of a requirements file.
func sumOf(lists fs.ReadFileFS, name string) (string, error) {
	text, err := lists.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("venv: unknown requirements file %s", name)
	}
	if err != nil {
		return "", fmt.Errorf("venv: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
