//go:build linux

package chaos

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

var (
	seedFlag = flag.Uint64("seed", 1, "what moments and victims are drawn from; 0: the clock")
	program  = flag.String("stein", "", "the stein to test; empty: one built of this source")
	rounds   = flag.Int("rounds", 4, "faults of TestRandom")
)

// stein is the program, built once for all tests.
var stein string

func TestMain(m *testing.M) {
	flag.Parse()
	if *seedFlag == 0 {
		*seedFlag = uint64(time.Now().UnixNano())
	}
	fmt.Printf("chaos: -seed %d\n", *seedFlag)
	if !set("test.parallel") { // most of their time the tests wait
		flag.Set("test.parallel", "4")
	}
	os.Exit(run(m))
}

// set says whether a flag was given.
func set(name string) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

func run(m *testing.M) int {
	if stein = *program; stein != "" || testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "chaos-bin-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	stein = filepath.Join(dir, "stein")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", stein, "../../cmd/stein").CombinedOutput(); err != nil {
		fmt.Printf("chaos: building stein: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// dice are a test's own: what one test draws does not depend on which others run.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	h := fnv.New64a()
	h.Write([]byte(t.Name()))
	t.Logf("-seed %d", *seedFlag)
	return rand.New(rand.NewPCG(*seedFlag, h.Sum64()))
}

// A place is where the processes of one test live: a folder for everything that they
// write, and a mark in their environment by which all of them can be found.
type place struct {
	dir, tmp, mark string
}

// newPlace looks, when the test ends, that nothing is left of it: no process, nothing
// in the folder of temporary files.
func newPlace(t *testing.T) place {
	t.Helper()
	if testing.Short() {
		t.Skip("breaks processes for seconds")
	}
	dir, err := os.MkdirTemp("", "chaos-") // t.TempDir is too long for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	p := place{dir, filepath.Join(dir, "tmp"), "STEIN_CHAOS=" + filepath.Base(dir)}
	if err := os.Mkdir(p.tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.wantNothingLeft(t)
		os.RemoveAll(dir)
	})
	return p
}

func (p place) path(name string) string { return filepath.Join(p.dir, name) }

// command is a process of this place.
func (p place) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), p.mark, "TMPDIR="+p.tmp, "PYTHONPATH="+pythonPath)
	return c
}

func (p place) wantNothingLeft(t *testing.T) {
	t.Helper()
	p.wantNoProcess(t)
	files, err := os.ReadDir(p.tmp)
	if err != nil {
		t.Error(err)
	}
	for _, f := range files {
		inside, _ := filepath.Glob(filepath.Join(p.tmp, f.Name(), "*"))
		t.Errorf("%s is left among temporary files, with %v", f.Name(), inside)
	}
}

func (p place) wantNoProcess(t *testing.T) {
	t.Helper()
	left := p.processes()
	for end := time.Now().Add(5 * time.Second); len(left) > 0 && time.Now().Before(end); left = p.processes() {
		time.Sleep(20 * time.Millisecond) // one that was killed takes a moment to go
	}
	for _, pid := range left {
		command, _ := os.ReadFile(proc(pid, "cmdline"))
		t.Errorf("process %d is left: %q", pid, command)
	}
}

func proc(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }
