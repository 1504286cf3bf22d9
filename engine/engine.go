// Package engine finds and opens the numeric backend: XLA through a PJRT plugin
// (go-xla, the successor of gopjrt), or GoMLX's own interpreter in pure Go.
package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend" // "go"
	"github.com/gomlx/go-xla/compute/xla"  // "xla"
	"github.com/gomlx/go-xla/pjrt"
)

// PureGo is the backend of last resort. Its default mode can deadlock on few cores; this
// mode does not.
const PureGo = "go:ops_sequential"

// noAutoInstall stops go-xla from downloading plugins on its own. go-xla reads the
// variable when the program starts, so it is set for child processes, and this process
// needs the call as well.
const noAutoInstall = xla.NoAutoInstallEnv

func init() {
	os.Setenv(noAutoInstall, "1")
	xla.EnableAutoInstall(false)
}

// A Choice is a backend configuration and the reason for it.
type Choice struct {
	Config string // such as xla:/path/plugin.so
	From   string // the rule that chose it
}

// Warning is a one-line warning about a slow choice, or empty.
func (c Choice) Warning() string {
	if c.From != fromNothing {
		return ""
	}
	return "engine: no XLA plugin found: using the pure Go backend, about 16 times slower; " + FixXLA()
}

// FixXLA says how to get an XLA plugin on this machine.
func FixXLA() string {
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		return "`stein setup` installs one"
	}
	return "`stein doctor --install-xla` downloads one if it exists for " + runtime.GOOS + "/" + runtime.GOARCH
}

// Choose returns the backend of the first rule that finds one (see Discover). It opens
// nothing.
func Choose(flag string) Choice {
	for _, c := range Discover(flag) {
		if c.Config != "" {
			return Choice{c.Config, c.Rule}
		}
	}
	return Choice{PureGo, fromNothing} // unreachable: Discover's last rule always finds one
}

// SetThreads sets the number of processor threads for computations; 0: all. XLA reads it
// once, so call it before Open.
func SetThreads(n int) error {
	if n < 0 {
		return fmt.Errorf("engine: %d threads: want at least 0 (0: all processors)", n)
	}
	if n == 0 {
		return nil
	}
	runtime.GOMAXPROCS(n) // the pure Go backend reads it
	return os.Setenv("NPROC", strconv.Itoa(n))
}

// Open opens the backend that Choose returns. It downloads nothing.
//
// A backend is not finalized by hand. The garbage collector frees it after the last
// buffer on it; Finalize would free it while the collector may still be freeing buffers
// in a goroutine of its own, and XLA then frees them on a client that is gone.
func Open(flag string) (compute.Backend, Choice, error) {
	c := Choose(flag)
	var b compute.Backend
	var err error
	if tried := Try(func() { b, err = open(c.Config) }); tried != nil { // an unknown name panics
		err = tried
	}
	if err != nil {
		return nil, c, fmt.Errorf("engine: opening backend %q (%s): %w", c.Config, c.From, err)
	}
	return b, c, nil
}

func open(config string) (compute.Backend, error) {
	config = expand(config)
	name, plugin, _ := strings.Cut(config, ":")
	if name != xla.BackendName {
		return compute.NewWithConfig(config)
	}
	if pjrt.IsCUDAName(plugin) {
		findCUDALibraries(plugin)
		return compute.NewWithConfig(config)
	}
	keepMemory()
	makeRoom()
	// By default the CPU plugin emulates four devices and starts at least that many
	// threads, twice, whatever NPROC says.
	b, err := xla.NewWithOptions(plugin, pjrt.NamedValuesMap{"cpu_device_count": int64(1)})
	if err == nil {
		return b, nil
	}
	return compute.NewWithConfig(config) // a plugin that does not know the option
}

// makeRoom lets Go use two processors beside XLA, which has threads of its own. If Go may use
// one, its scheduler takes that from every call that lasts 20 µs and wakes a thread for it,
// which mostly finds nothing to do: 7 % of the processor time of a training on Pendulum.
func makeRoom() {
	if runtime.GOMAXPROCS(0) == 1 && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2)
	}
}

// findCUDALibraries tells XLA where NVIDIA's compiler is if the plugin comes from a
// wheel: its libraries are then in site-packages/nvidia. Elsewhere go-xla finds them.
func findCUDALibraries(plugin string) {
	path, _, _ := strings.Cut(plugin, ",")
	nvidia := filepath.Join(filepath.Dir(path), "..", "..", "nvidia")
	const variable, flag = "XLA_FLAGS", "--xla_gpu_cuda_data_dir="
	flags := os.Getenv(variable)
	if !filepath.IsAbs(path) || strings.Contains(flags, flag) {
		return
	}
	for _, dir := range []string{"cuda_nvcc", "cu13"} {
		if root := filepath.Join(nvidia, dir); exists(root) {
			os.Setenv(variable, strings.TrimSpace(flags+" "+flag+root))
			os.Setenv("GOPJRT_CUDA_CHECKS", "no") // it expects another layout and warns
			return
		}
	}
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
