//go:build unix

package envbridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/stein-rl/stein/internal/python"
)

// A process is a local worker. It watches its standard input, a pipe: when this program
// ends, however it does, the pipe closes and the worker ends.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	tail  *tail
	done  chan struct{} // closed once it is reaped
	err   error         // how it ended; valid after done
}

// startProcess starts a worker whose output goes to out.
func startProcess(interpreter string, args, env []string, out *tail) (*process, error) {
	cmd := python.Command(context.Background(), interpreter, env, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = processAttributes()
	// A grandchild that keeps the output open must not block Wait.
	cmd.WaitDelay = time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", interpreter, err)
	}
	p := &process{cmd: cmd, stdin: stdin, tail: out, done: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", interpreter, err)
	}
	return p, nil
}

// run starts the command and waits for it on one OS thread: Linux sends the Pdeathsig
// signal when the thread that started the child ends.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	if errors.Is(p.err, exec.ErrWaitDelay) {
		p.err = nil
	}
	close(p.done)
}

// kill ends the worker and its children, and waits for it. It also works on a stopped
// process.
func (p *process) kill() {
	// The worker leads its own process group.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	_ = p.stdin.Close()
}

// end waits for a worker that was told to leave, and kills it after patience.
func (p *process) end(patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	p.kill()
}

// how describes how a process ended, with its last output.
func (p *process) how() string {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	if words := python.LastWords(p.tail.last()); words != "" {
		how += ": " + words
	}
	return how
}
