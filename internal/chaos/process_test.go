//go:build linux

package chaos

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It is long: a busy machine
// is no fault, least of all in a long soak.
var patience = time.Minute

// A process is a stein, or a worker of its own, at work.
type process struct {
	cmd  *exec.Cmd
	out  bytes.Buffer // its standard output, once it has ended
	logs *logs
	done chan struct{} // closed once it has ended
	err  error
}

// start starts a process whose standard error is a log. It ends with the test.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, logs: &logs{}, done: make(chan struct{})}
	cmd.Stdout = &p.out
	return p.run(t)
}

func (p *process) run(t *testing.T) *process {
	t.Helper()
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.logs.read(pipe)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		<-p.done
	})
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// signal sends one that must reach it.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %v: %v\n%s", s, err, p.logs)
	}
}

// kill kills it as a crash would, and waits for its end.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.done
}

// wantCode waits for its end.
func (p *process) wantCode(t *testing.T, code int) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // says where it hangs
		time.Sleep(time.Second)
		t.Fatalf("it did not end within %v\n%s", patience, p.logs)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("code %d (%v), want %d\n%s", got, p.err, code, p.logs)
	}
}

// until waits until something is so. A process that ends before is an error.
func (p *process) until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(2 * time.Millisecond) {
		select {
		case <-p.done:
			if so() {
				return
			}
			t.Fatalf("it ended (%v) before %s\n%s", p.err, what, p.logs)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s did not happen within %v\n%s", what, patience, p.logs)
		}
	}
}

// untilLogged waits for the nth line with a message, from 1, and gives its fields.
func (p *process) untilLogged(t *testing.T, message string, nth int) line {
	t.Helper()
	var found []line
	p.until(t, strconv.Quote(message), func() bool {
		found = p.logs.named(message)
		return len(found) >= nth
	})
	return found[nth-1]
}

// A line of a log.
type line map[string]any

// logs are the lines that a process has written to its standard error.
type logs struct {
	mu   sync.Mutex
	all  []line
	text []string
}

func (l *logs) read(from io.Reader) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one line
		if json.Unmarshal(lines.Bytes(), &one) != nil {
			one = line{"msg": lines.Text()}
		}
		l.mu.Lock()
		l.all, l.text = append(l.all, one), append(l.text, lines.Text())
		l.mu.Unlock()
	}
}

func (l *logs) named(message string) (found []line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.all {
		if one["msg"] == message {
			found = append(found, one)
		}
	}
	return found
}

// String is the end of the log.
func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.text[max(0, len(l.text)-60):], "\n")
}

// processes are those of a place that live, whoever started them.
func (p place) processes() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		environ, err := os.ReadFile(path)
		if err != nil || !slices.Contains(strings.Split(string(environ), "\x00"), p.mark) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if pid != os.Getpid() && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// alive says whether a process runs: one that nobody has reaped does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(proc(pid, "stat"))
	state := stat[strings.LastIndexByte(string(stat), ')')+1:] // "pid (name) S ..."
	return err == nil && !strings.HasPrefix(string(state), " Z") && !strings.HasPrefix(string(state), " X")
}

// openFiles counts the files that a process has open: sockets, pipes, all else.
func openFiles(t *testing.T, pid int) map[string]int {
	t.Helper()
	names, err := filepath.Glob(proc(pid, "fd/*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("process %d: files %v, %v", pid, names, err)
	}
	count := map[string]int{}
	for _, name := range names {
		to, err := os.Readlink(name)
		if err != nil {
			continue // closed since
		}
		kind, _, _ := strings.Cut(to, ":[")
		count[kind]++
	}
	return count
}
