package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gomlx/go-xla/compute/xla"
	"github.com/gomlx/go-xla/installer"

	"github.com/stein-rl/stein/internal/venv"
)

// Environment variables that select a backend, in order.
var envNames = []string{"STEIN_BACKEND", "GOMLX_BACKEND"}

// Where wheels install their plugin in a virtual environment.
const (
	cpuWheel  = "lib/python3*/site-packages/fastatomstruct_xla_cpu/libpjrt_cpu.so"
	cudaWheel = "lib/python3*/site-packages/jax_plugins/xla_cuda1*/xla_cuda_plugin.so"
)

const fromNothing = "no XLA plugin found"

// A Candidate is the result of one discovery rule on this machine.
type Candidate struct {
	Rule   string // what was checked
	Config string // the backend found; empty if none
	Note   string // why none was found
}

// Discover applies every rule in order: the flag, the environment variables, a CUDA
// plugin if there is a GPU (go-xla's folders, then virtual environments), a CPU plugin
// (likewise), and the pure Go backend. Choose takes the first backend found.
func Discover(flag string) []Candidate {
	all := []Candidate{{Rule: "--backend", Config: flag, Note: "not given"}}
	for _, name := range envNames {
		all = append(all, Candidate{Rule: "$" + name, Config: os.Getenv(name), Note: "not set"})
	}
	gpu := hasGPU()
	plugins := xla.GetAvailablePlugins()
	for _, kind := range []struct {
		name, wheel string
		unless      string
	}{
		{"cuda", cudaWheel, map[bool]string{false: "no NVIDIA GPU"}[gpu]},
		{"cpu", cpuWheel, ""},
	} {
		found := []Candidate{installed(kind.name, plugins), fromWheel(kind.name, kind.wheel)}
		for _, c := range found {
			if kind.unless != "" {
				c.Config, c.Note = "", kind.unless
			}
			all = append(all, c)
		}
	}
	return append(all, Candidate{Rule: fromNothing, Config: PureGo})
}

// installed looks for a plugin in go-xla's own folders, with or without a version in its
// name.
func installed(kind string, plugins []string) Candidate {
	c := Candidate{Rule: "go-xla's folders, " + kind, Note: "no such plugin"}
	if i := slices.IndexFunc(plugins, func(p string) bool {
		return p == kind || strings.HasPrefix(p, kind+"_v")
	}); i >= 0 {
		c.Config = "xla:" + plugins[i]
	}
	return c
}

// expand lets xla:cpu and xla:cuda, with or without options, select a plugin from a
// wheel, which go-xla does not find.
func expand(config string) string {
	for kind, wheel := range map[string]string{"cpu": cpuWheel, "cuda": cudaWheel} {
		options, ok := strings.CutPrefix(config, "xla:"+kind)
		if !ok || options != "" && options[0] != ',' || installed(kind, xla.GetAvailablePlugins()).Config != "" {
			continue
		}
		if c := fromWheel(kind, wheel); c.Config != "" {
			return c.Config + options
		}
	}
	return config
}

func fromWheel(kind, pattern string) Candidate {
	for _, dir := range Venvs() {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return Candidate{Rule: "virtual environment " + dir, Config: "xla:" + found[len(found)-1]}
		}
	}
	return Candidate{Rule: "virtual environments, " + kind, Note: "no wheel with that plugin"}
}

// Venvs lists the virtual environments that are searched for wheels.
func Venvs() []string { return venv.Find() }

// InstallXLA lets go-xla download the plugins for this machine into the user's library
// folder, and returns that folder. It prints its progress.
func InstallXLA() (string, error) {
	lib, err := installer.DefaultHomeLibPath()
	if err != nil {
		return "", fmt.Errorf("engine: installing XLA: %w", err)
	}
	if err := installer.AutoInstall(lib, true, installer.Normal); err != nil {
		return "", fmt.Errorf("engine: installing XLA: %w", err)
	}
	return filepath.Join(lib, "go-xla"), nil
}

func hasGPU() bool { return exists("/dev/nvidia0") }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
