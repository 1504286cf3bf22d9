package venv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Oldest is the lowest version of Python that the packages run on.
const Oldest = "3.11"

// aboutScript is kept to what every Python 3 understands.
const aboutScript = `
import json, sys
missing = []
for name in sys.argv[1:]:
    try:
        __import__(name)
    except ImportError:
        missing.append(name)
print(json.dumps({"version": sys.version_info[:3], "missing": missing}))
`

// An interpreter is a Python that answered.
type interpreter struct {
	path    string
	version [3]int
	missing []string // of the modules that were asked for
}

func (p interpreter) String() string {
	return fmt.Sprintf("%d.%d.%d", p.version[0], p.version[1], p.version[2])
}

// ask runs an interpreter, and has it import modules.
func ask(ctx context.Context, path string, modules ...string) (interpreter, error) {
	p := interpreter{path: path}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	c := command(ctx, path, append([]string{"-c", aboutScript}, modules...)...)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return p, fmt.Errorf("venv: %s does not run as Python 3 does: %w%s", path, err, afterColon(lastLine(errs.String())))
	}
	var about struct {
		Version [3]int
		Missing []string
	}
	if err := json.Unmarshal([]byte(lastLine(out.String())), &about); err != nil {
		return p, fmt.Errorf("venv: %s is not Python: asked for its version it printed %q", path, lastLine(out.String()))
	}
	p.version, p.missing = about.Version, about.Missing
	return p, nil
}

// check says what keeps an interpreter from making an environment.
func (p interpreter) check() error {
	if p.version[0] != 3 || p.version[1] < 11 {
		return fmt.Errorf("venv: %s is Python %v: %s or newer is needed; name another with --python /path/to/python3", p.path, p, Oldest)
	}
	if len(p.missing) > 0 {
		return fmt.Errorf("venv: %s lacks the standard module %s, without which it makes no environment: on Debian and Ubuntu install python3-venv (python%d.%d-venv), or name another Python with --python",
			p.path, strings.Join(p.missing, " and "), p.version[0], p.version[1])
	}
	return nil
}

// choose takes the named interpreter, or the first on PATH that will do.
func choose(ctx context.Context, named string) (interpreter, error) {
	const venv, ensurepip = "venv", "ensurepip"
	if named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return interpreter{}, fmt.Errorf("venv: no Python %s: %w", named, err)
		}
		p, err := ask(ctx, path, venv, ensurepip)
		if err != nil {
			return p, err
		}
		return p, p.check()
	}
	var why []error
	for _, name := range []string{"python3", "python3.13", "python3.12", "python3.11", "python3.14"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		p, err := ask(ctx, path, venv, ensurepip)
		if err == nil {
			err = p.check()
		}
		if err == nil || ctx.Err() != nil {
			return p, err
		}
		why = append(why, err)
	}
	if len(why) == 0 {
		return interpreter{}, fmt.Errorf("venv: no python3 on PATH: install Python %s or newer (Debian, Ubuntu: python3 and python3-venv), or name one with --python", Oldest)
	}
	return interpreter{}, errors.Join(why...)
}

// command runs Python apart from the user's settings of Python and from files in the
// working folder, which could take the place of modules (-I). A cancelled one is
// interrupted before it is killed.
func command(ctx context.Context, python string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, python, append([]string{"-I"}, args...)...)
	c.Env = append(os.Environ(), "PIP_USER=0", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PYTHONUNBUFFERED=1")
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGINT) }
	c.WaitDelay = 5 * time.Second
	return c
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

func afterColon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}
