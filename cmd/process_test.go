package cmd_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long one command of a test may take. On a quiet machine the longest
// takes half a minute.
const patience = 4 * time.Minute

// stein is this test binary as stein (TestMain), with the race detector if the test has it.
func stein(args ...string) *exec.Cmd { return command(os.Args[0], args) }

// plainStein is stein without the race detector, for what trains in many processes: the
// detector makes the engine in pure Go ten times slower.
func plainStein(args ...string) *exec.Cmd { return command(plain(), args) }

// plain compiles stein once for all tests and returns plainFile.
var plain = sync.OnceValue(func() string {
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", plainFile, "./stein").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("go build ./stein: %v\n%s", err, out))
	}
	return plainFile
})

var plainFile = filepath.Join(os.TempDir(), fmt.Sprintf("stein-plain-%d", os.Getpid()))

func command(binary string, args []string) *exec.Cmd {
	c := exec.Command(binary, args...)
	// A process with the race detector sleeps for a second when it ends, unless told.
	c.Env = append(os.Environ(), "STEIN_TEST_MAIN=1", "GORACE=atexit_sleep_ms=0", "PYTHONPATH="+must(filepath.Abs("testdata")))
	// A process of a process may hold the pipes: it is not waited for.
	c.WaitDelay = 10 * time.Second
	return c
}

type outcome struct {
	code           int
	stdout, stderr string
}

// finish runs a command to its end.
func finish(t *testing.T, c *exec.Cmd) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	err := ended(t, c)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v; %s", err, errs.String())
	}
	return outcome{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// ended waits for a command that was started. One that outlasts patience is asked for its
// goroutines, which go to its standard error, and the test fails.
func ended(t *testing.T, c *exec.Cmd) error {
	t.Helper()
	var late atomic.Bool
	ask := time.AfterFunc(patience, func() {
		late.Store(true)
		_ = c.Process.Signal(syscall.SIGQUIT)
	})
	defer ask.Stop()
	end := time.AfterFunc(patience+10*time.Second, func() { _ = c.Process.Kill() })
	defer end.Stop()
	err := c.Wait()
	if late.Load() {
		said := ""
		if b, ok := c.Stderr.(*bytes.Buffer); ok {
			said = b.String()
		}
		t.Fatalf("%s was not done within %v; it said\n%s", strings.Join(c.Args[1:], " "), patience, said)
	}
	return err
}

// A dialogue is with a process that answers in lines.
type dialogue struct {
	t     *testing.T
	in    io.Writer
	lines chan string // closed when it has ended
	errs  *bytes.Buffer
}

// talk starts a process and ends it with the test.
func talk(t *testing.T, c *exec.Cmd) *dialogue {
	t.Helper()
	d := &dialogue{t: t, lines: make(chan string, 16), errs: &bytes.Buffer{}}
	c.Stderr, c.WaitDelay = d.errs, 10*time.Second
	in, out := must(c.StdinPipe()), must(c.StdoutPipe())
	d.in = in
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(d.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			d.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		in.Close()
		kill := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
		defer kill.Stop()
		for range d.lines {
		}
		<-read
		if err := c.Wait(); err != nil {
			t.Logf("%v: %v, %s", c.Args, err, d.errs.String())
		}
	})
	return d
}

// line is the next line of the process.
func (d *dialogue) line(about string) string {
	d.t.Helper()
	select {
	case line, ok := <-d.lines:
		if !ok {
			d.t.Fatalf("%s: it has ended: %s", about, d.errs.String())
		}
		return line
	case <-time.After(patience):
		d.t.Fatalf("%s: nothing within %v", about, patience)
	}
	return ""
}
