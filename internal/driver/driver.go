// Package driver controls Python programs started by stein: the drivers of Ray and Optuna
// (python_env/stein_env/cluster). Requests and replies are lines of JSON.
package driver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/stein-rl/stein/internal/python"
	"github.com/stein-rl/stein/internal/venv"
)

// A Driver is a Python process that executes requests. It ends when its input closes, and
// so when this program ends in any way.
type Driver struct {
	Dir string // folder with the Python package, removed at the end

	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when the process has ended

	mu      sync.Mutex
	number  int
	waiting map[int]request
	end     error // why it ended; valid after ended
}

// A request waits for replies.
type request struct {
	replies   chan Reply
	forgotten chan struct{} // closed by Forget
}

// A Reply is one line of the driver's output.
type Reply struct {
	ID    int             `json:"id"`
	News  json.RawMessage `json:"news"`
	Done  json.RawMessage `json:"done"`
	Error string          `json:"error"`
}

// errGone is wrapped by the error of a call to a driver that has ended.
var errGone = errors.New("the driver process has ended")

// Start starts a module of stein_env.cluster with an interpreter (empty: found). What it
// prints goes to log.
func Start(module, interpreter string, log io.Writer) (*Driver, error) {
	return start(module, interpreter, log, "-m", "stein_env.cluster."+module)
}

// start starts a program, given by the interpreter's arguments.
func start(name, interpreter string, log io.Writer, program ...string) (*Driver, error) {
	interpreter, err := python.Find(interpreter)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "stein-driver-")
	if err != nil {
		return nil, fmt.Errorf("driver: %w", err)
	}
	env, err := python.Write(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	d := &Driver{name: name, Dir: dir, ended: make(chan struct{}), waiting: map[int]request{}}
	d.cmd = python.Command(context.Background(), interpreter, env, program...)
	d.cmd.SysProcAttr = apart()
	last := &lastLines{to: log, interpreter: interpreter}
	d.cmd.Stderr = last
	out, err := d.cmd.StdoutPipe()
	if err == nil {
		d.stdin, err = d.cmd.StdinPipe()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("driver: %w", err), os.RemoveAll(dir))
	}
	started := make(chan error)
	go d.run(started, out, last)
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("driver: starting %s: %w", interpreter, err), os.RemoveAll(dir))
	}
	return d, nil
}

// run starts the driver, passes its lines to the waiting requests, and waits for its end
// on one OS thread: Linux ends the child when the thread that started it ends.
func (d *Driver) run(started chan<- error, out io.Reader, last *lastLines) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := d.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var r Reply
		if json.Unmarshal(line, &r) != nil {
			continue // output of a library that wrote to the pipe
		}
		d.mu.Lock()
		to, waits := d.waiting[r.ID]
		d.mu.Unlock()
		if !waits {
			continue
		}
		select {
		case to.replies <- r:
		case <-to.forgotten:
		}
	}
	err = d.cmd.Wait()
	d.end = fmt.Errorf("%s: %w: %s", d.name, errGone, last.why(err))
	close(d.ended)
}

// Send makes a request. Its replies come on the channel until Forget.
func (d *Driver) Send(op string, with func(number int) any) (number int, replies <-chan Reply, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.number++
	line, err := json.Marshal(map[string]any{"id": d.number, "op": op, "with": with(d.number)})
	if err != nil {
		return 0, nil, fmt.Errorf("driver: %w", err)
	}
	r := request{make(chan Reply, 16), make(chan struct{})}
	d.waiting[d.number] = r
	if _, err := d.stdin.Write(append(line, '\n')); err != nil {
		delete(d.waiting, d.number)
		select {
		case <-d.ended:
			return 0, nil, d.end
		case <-time.After(5 * time.Second):
			return 0, nil, fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return d.number, r.replies, nil
}

// Ended is closed when the driver has ended. Err says why.
func (d *Driver) Ended() <-chan struct{} { return d.ended }

// Err is the reason why the driver ended.
func (d *Driver) Err() error { return d.end }

// Forget ends a request: its later replies are dropped.
func (d *Driver) Forget(number int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(number)
}

func (d *Driver) forget(number int) {
	if r, waits := d.waiting[number]; waits {
		close(r.forgotten)
		delete(d.waiting, number)
	}
}

// Call sends a request and waits for its answer. The end of ctx only ends the wait.
func (d *Driver) Call(ctx context.Context, op string, with, answer any) error {
	number, replies, err := d.Send(op, func(int) any { return with })
	if err != nil {
		return err
	}
	defer d.Forget(number)
	select {
	case r := <-replies:
		return r.Decode(answer)
	case <-d.ended:
		return d.end
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Decode decodes the answer.
func (r Reply) Decode(answer any) error {
	if r.Error != "" {
		return errors.New(r.Error)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(r.Done, answer); err != nil {
		return fmt.Errorf("driver: cannot decode the answer: %w", err)
	}
	return nil
}

// goodbye is the time that a driver has to exit.
const goodbye = 20 * time.Second

// Close forgets all requests, tells the driver to exit, and waits.
func (d *Driver) Close() error {
	_ = d.stdin.Close()
	d.mu.Lock()
	for number := range d.waiting {
		d.forget(number)
	}
	d.mu.Unlock()
	select {
	case <-d.ended:
	case <-time.After(goodbye):
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
	return os.RemoveAll(d.Dir)
}

// lastLines passes on its input, and keeps the end.
type lastLines struct {
	to          io.Writer
	interpreter string
	mu          sync.Mutex
	all         []byte
}

func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.all = append(l.all, p...)
	if n := len(l.all) - 4096; n > 0 {
		l.all = append([]byte(nil), l.all[n:]...)
	}
	l.mu.Unlock()
	return l.to.Write(p)
}

// why returns the driver's last output, and how to install a missing package.
func (l *lastLines) why(err error) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	why := python.LastWords(strings.Split(strings.TrimSpace(string(l.all)), "\n"))
	if strings.HasPrefix(why, "ModuleNotFoundError") {
		why += " (" + venv.Remedy(l.interpreter, "--cluster") + ")"
	}
	if why == "" {
		why = fmt.Sprint(err)
	}
	return why
}
