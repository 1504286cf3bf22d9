package engine_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/internal/enginetest"
)

// Ensure that rules are asked in the documented order.
func TestChooseOrder(t *testing.T) {
	venv := t.TempDir()
	plugin := filepath.Join(venv, "lib/python3.11/site-packages/fastatomstruct_xla_cpu/libpjrt_cpu.so")
	if err := os.MkdirAll(filepath.Dir(plugin), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plugin, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, flag, stein, gomlx, venv string
		want                           string
	}{
		{"flag first", "go:a", "go:b", "go:c", venv, "go:a"},
		{"then our variable", "", "go:b", "go:c", venv, "go:b"},
		{"then GoMLX's", "", "", "go:c", venv, "go:c"},
		{"then the environment", "", "", "", venv, "xla:" + plugin},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("STEIN_BACKEND", c.stein)
			t.Setenv("GOMLX_BACKEND", c.gomlx)
			t.Setenv("VIRTUAL_ENV", c.venv)
			got := engine.Choose(c.flag)
			if strings.HasPrefix(got.From, "go-xla's folders") {
				t.Skip("this machine has a plugin installed, which comes before the virtual environment")
			}
			if got.Config != c.want {
				t.Errorf("%q (%s), want %q", got.Config, got.From, c.want)
			}
			if w := got.Warning(); w != "" {
				t.Errorf("warning %q", w)
			}
		})
	}
}

// Ensure that without any plugin the interpreter is taken, with a warning.
func TestChooseNothing(t *testing.T) {
	for _, name := range []string{"STEIN_BACKEND", "GOMLX_BACKEND", "VIRTUAL_ENV"} {
		t.Setenv(name, "")
	}
	t.Setenv("XDG_DATA_HOME", t.TempDir()) // where stein setup may have put one
	t.Chdir(t.TempDir())
	got := engine.Choose("")
	if strings.HasPrefix(got.From, "go-xla's folders") {
		t.Skip("this machine has a plugin installed")
	}
	if got.Config != engine.PureGo || !strings.Contains(got.Warning(), engine.FixXLA()) {
		t.Errorf("%+v, warning %q", got, got.Warning())
	}
}

// Ensure that both backends really compute, first derivatives included.
func TestCheck(t *testing.T) {
	if err := engine.Check(enginetest.Backend(t)); err != nil {
		t.Error(err)
	}
	if err := engine.Check(enginetest.PureGo(t)); err != nil {
		t.Error(err)
	}
}

// Ensure that the CPU plugin shows the one device there is.
func TestOneDevice(t *testing.T) {
	b := enginetest.Backend(t)
	if b.Name() != "xla" {
		t.Skip("no XLA here")
	}
	if n := b.NumDevices(); n != 1 {
		t.Errorf("%d devices, want 1", n)
	}
	if _, _, err := engine.Open("xla:cpu"); err != nil {
		t.Errorf("by its short name: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	for _, config := range []string{"xla:/no/such/plugin.so", "go:no_such_option", "nonsense"} {
		_, _, err := engine.Open(config)
		if err == nil {
			t.Errorf("%s opened", config)
		} else if !strings.Contains(err.Error(), config) {
			t.Errorf("error %q does not name %q", err, config)
		}
	}
}

func TestTry(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"no panic", func() {}, ""},
		{"an error", func() { panic(cause) }, "cause"},
		{"a string", func() { panic("text") }, "text"},
	} {
		err := engine.Try(c.do)
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Ensure that the number of threads is what was asked for: XLA's two pools have N
// each. They are counted in processes of their own, as XLA reads the number once.
func TestThreads(t *testing.T) {
	if n := os.Getenv("STEIN_TEST_THREADS"); n != "" {
		countThreads(t, n)
		return
	}
	if enginetest.Backend(t).Name() != "xla" || runtime.GOOS != "linux" {
		t.Skip("no XLA, or no /proc to count in")
	}
	started := func(n string) int {
		c := exec.Command(os.Args[0], "-test.run=^TestThreads$", "-test.v")
		c.Env = append(os.Environ(), "STEIN_TEST_THREADS="+n)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v, %s", err, out)
		}
		_, rest, _ := strings.Cut(string(out), "threads started: ")
		var count int
		if _, err := fmt.Sscan(rest, &count); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		return count
	}
	// Go may start some of its own meanwhile, up to one for each processor.
	if one, seven := started("1"), started("7"); seven-one < 12-3 || seven-one > 12+3+6 {
		t.Errorf("opening starts %d threads for 1 and %d for 7, want 12 more", one, seven)
	}
	if err := engine.SetThreads(-1); err == nil {
		t.Error("-1 threads are fine")
	}
}

func countThreads(t *testing.T, n string) {
	count := func() int {
		all, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	wanted, err := strconv.Atoi(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.SetThreads(wanted); err != nil {
		t.Fatal(err)
	}
	before := count()
	if _, _, err := engine.Open(""); err != nil {
		t.Fatal(err)
	}
	fmt.Println("threads started:", count()-before)
}
