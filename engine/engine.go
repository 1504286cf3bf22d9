// Package engine finds and opens the numeric backend: XLA through a PJRT plugin
// (go-xla, the successor of gopjrt), or GoMLX's own interpreter in pure Go.
package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend" // "go"
	"github.com/gomlx/go-xla/compute/xla"  // "xla"
)

// PureGo is the backend of last resort. The default mode of the same backend can
// deadlock on few cores; this one does not.
const PureGo = "go:ops_sequential"

// Variables of the environment that name a backend, in order.
var envNames = []string{"STEIN_BACKEND", "GOMLX_BACKEND"}

// pluginInVenv is where the CPU plugin's wheel puts it, below a virtual environment.
const pluginInVenv = "lib/python3*/site-packages/fastatomstruct_xla_cpu/libpjrt_cpu.so"

// A Choice is a backend configuration and the reason for it.
type Choice struct {
	Config string // such as xla:/path/plugin.so
	From   string // which rule chose it
}

// Choose picks a backend: the flag, the environment, a CUDA plugin with a GPU, a
// CPU plugin where go-xla installs them, the project's virtual environment, and
// last the pure Go backend. It opens nothing.
func Choose(flag string) Choice {
	if flag != "" {
		return Choice{flag, "flag"}
	}
	for _, name := range envNames {
		if v := os.Getenv(name); v != "" {
			return Choice{v, name}
		}
	}
	plugins := xla.GetAvailablePlugins()
	for _, name := range plugins {
		if name == "cuda" && hasGPU() {
			return Choice{"xla:cuda", "installed plugin"}
		}
	}
	for _, name := range plugins {
		if name == "cpu" {
			return Choice{"xla:cpu", "installed plugin"}
		}
	}
	for _, dir := range venvs() {
		if found, _ := filepath.Glob(filepath.Join(dir, pluginInVenv)); len(found) > 0 {
			return Choice{"xla:" + found[0], "virtual environment " + dir}
		}
	}
	return Choice{PureGo, "no XLA plugin found"}
}

// Open opens the backend that Choose picks. Nothing is downloaded.
func Open(flag string) (compute.Backend, Choice, error) {
	xla.EnableAutoInstall(false)
	c := Choose(flag)
	b, err := compute.NewWithConfig(c.Config)
	if err != nil {
		return nil, c, fmt.Errorf("engine: opening backend %q (%s): %w", c.Config, c.From, err)
	}
	return b, c, nil
}

// venvs lists virtual environments to look into: the active one, then .venv in
// this folder and those above it, and beside the binary.
func venvs() []string {
	var dirs []string
	if v := os.Getenv("VIRTUAL_ENV"); v != "" {
		dirs = append(dirs, v)
	}
	roots := []string{}
	if wd, err := os.Getwd(); err == nil {
		roots = append(roots, wd)
	}
	if exe, err := os.Executable(); err == nil {
		roots = append(roots, filepath.Dir(exe))
	}
	for _, root := range roots {
		for dir := root; ; dir = filepath.Dir(dir) {
			dirs = append(dirs, filepath.Join(dir, ".venv"))
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return dirs
}

func hasGPU() bool {
	_, err := os.Stat("/dev/nvidia0")
	return !errors.Is(err, os.ErrNotExist)
}

// Try runs a function that builds graphs and turns its panic into an error.
func Try(build func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if e, ok := r.(error); ok {
				err = e
			} else {
				err = fmt.Errorf("%v", r)
			}
		}
	}()
	build()
	return nil
}
