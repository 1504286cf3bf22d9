package study

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// processes is the Executor that runs trials on this machine.
type processes struct{ dir, program string }

// Here runs the trials of a sweep as processes of this machine, with the running program.
func Here(dir string) (Executor, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	return processes{dir, program}, nil
}

func (p processes) Fetch(context.Context, string) error { return nil }

func (p processes) Dying() time.Duration { return 10 * time.Second }

func (p processes) Train(ctx context.Context, j Job, started func(string) error) (End, error) {
	args := j.Arguments(filepath.Join(p.dir, j.Name), j.Config)
	if err := started(""); err != nil {
		return End{}, err
	}
	var out bytes.Buffer
	said := &tail{}
	cmd := exec.Command(p.program, args...)
	cmd.Stdout, cmd.Stderr = &out, said
	cmd.SysProcAttr = processAttributes()
	// The kernel kills the process when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return End{}, fmt.Errorf("sweep: %w", err)
	}
	told := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer told()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return End{}, fmt.Errorf("sweep: %w", err)
	}
	end := End{Code: cmd.ProcessState.ExitCode(), Stdout: out.String(), Stderr: string(said.all)}
	if end.Code != 0 && len(bytes.TrimSpace(said.all)) == 0 {
		end.Stderr = cmd.ProcessState.String() + "\n"
	}
	return end, nil
}

// Arguments are the process's arguments with run folder and configuration filled in.
func (j Job) Arguments(run, config string) []string {
	args := make([]string, len(j.Args))
	for i, a := range j.Args {
		switch a {
		case RunFolder:
			a = run
		case ConfigFile:
			a = config
		}
		args[i] = a
	}
	return args
}

// tail keeps the end of a process's output.
type tail struct{ all []byte }

const tailSize = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.all = append(t.all, p...)
	if len(t.all) > 2*tailSize {
		t.all = append([]byte(nil), t.all[len(t.all)-tailSize:]...)
	}
	return len(p), nil
}
