// Package cluster runs trials and simulators on other machines, by Ray, and asks
// Optuna for settings to try. Both are Python: this package starts their drivers
// (python_env/stein_env/cluster) and speaks JSON lines with them.
package cluster

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

	"github.com/stein-rl/stein/envbridge"
)

// A driver is a Python process that does what it is asked. It ends when its input
// does, and so with this program, however that ends.
type driver struct {
	name  string
	dir   string // the Python package
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed once it is gone

	mu      sync.Mutex
	number  int
	waiting map[int]chan<- reply
	end     error // why it ended; read after ended
}

// A reply is a line of the driver's.
type reply struct {
	ID    int             `json:"id"`
	News  json.RawMessage `json:"news"`
	Done  json.RawMessage `json:"done"`
	Error string          `json:"error"`
}

// errGone is wrapped by the error of a call to a driver that has ended.
var errGone = errors.New("its driver has ended")

// startDriver starts a module of stein_env.cluster. What it prints goes to log.
func startDriver(module, python string, log io.Writer) (*driver, error) {
	python, err := envbridge.FindPython(python)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "stein-cluster-")
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	env, err := envbridge.WritePython(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	d := &driver{name: module, dir: dir, ended: make(chan struct{}), waiting: map[int]chan<- reply{}}
	d.cmd = exec.Command(python, "-m", "stein_env.cluster."+module)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.SysProcAttr = apart()
	last := &lastLines{to: log}
	d.cmd.Stderr = last
	out, err := d.cmd.StdoutPipe()
	if err == nil {
		d.stdin, err = d.cmd.StdinPipe()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: %w", err), os.RemoveAll(dir))
	}
	started := make(chan error)
	go d.run(started, out, last)
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: starting %s: %w", python, err), os.RemoveAll(dir))
	}
	return d, nil
}

// run starts the driver, hands its lines to those who wait, and waits for its end, on
// one thread: Linux ends the child when the thread ends that started it.
func (d *driver) run(started chan<- error, out io.Reader, last *lastLines) {
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
		var r reply
		if json.Unmarshal(line, &r) != nil {
			continue // a library that found the pipe
		}
		d.mu.Lock()
		to := d.waiting[r.ID]
		d.mu.Unlock()
		if to != nil {
			to <- r
		}
	}
	err = d.cmd.Wait()
	d.end = fmt.Errorf("cluster: %s: %w: %s", d.name, errGone, last.why(err))
	close(d.ended)
}

// send makes a request. Its replies come on the channel until forget.
func (d *driver) send(op string, with func(number int) any) (number int, replies <-chan reply, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.number++
	line, err := json.Marshal(map[string]any{"id": d.number, "op": op, "with": with(d.number)})
	if err != nil {
		return 0, nil, fmt.Errorf("cluster: %w", err)
	}
	c := make(chan reply, 16)
	d.waiting[d.number] = c
	if _, err := d.stdin.Write(append(line, '\n')); err != nil {
		delete(d.waiting, d.number)
		select {
		case <-d.ended:
			return 0, nil, d.end
		case <-time.After(5 * time.Second):
			return 0, nil, fmt.Errorf("cluster: %s: %w", d.name, err)
		}
	}
	return d.number, c, nil
}

func (d *driver) forget(number int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, number)
}

// call makes a request and waits for its answer. A ctx that ends only ends the wait.
func (d *driver) call(ctx context.Context, op string, with, answer any) error {
	number, replies, err := d.send(op, func(int) any { return with })
	if err != nil {
		return err
	}
	defer d.forget(number)
	select {
	case r := <-replies:
		return r.decode(answer)
	case <-d.ended:
		return d.end
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r reply) decode(answer any) error {
	if r.Error != "" {
		return fmt.Errorf("cluster: %s", r.Error)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(r.Done, answer); err != nil {
		return fmt.Errorf("cluster: an answer that makes no sense: %w", err)
	}
	return nil
}

// goodbye is how long a driver may take to leave.
const goodbye = 20 * time.Second

// Close has the driver leave, and waits.
func (d *driver) close() error {
	_ = d.stdin.Close()
	select {
	case <-d.ended:
	case <-time.After(goodbye):
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
	return os.RemoveAll(d.dir)
}

// lastLines passes on what is written, and keeps the end.
type lastLines struct {
	to  io.Writer
	mu  sync.Mutex
	all []byte
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

// why is the last line, and what to do about a package that is missing.
func (l *lastLines) why(err error) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(l.all)), "\n")
	why := lines[len(lines)-1]
	if strings.HasPrefix(why, "ModuleNotFoundError") {
		why += " (pip install -r requirements-cluster.txt into its environment)"
	}
	if why == "" {
		why = fmt.Sprint(err)
	}
	return why
}
