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

// Oldest is the minimum version of Python.
const Oldest = "3.11"

// aboutScript uses only what every Python 3 supports.
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

// An interpreter is a working Python.
type interpreter struct {
	path    string
	version [3]int
	missing []string // modules that could not be imported
}

func (p interpreter) String() string {
	return fmt.Sprintf("%d.%d.%d", p.version[0], p.version[1], p.version[2])
}

// ask runs an interpreter and imports modules in it.
func ask(ctx context.Context, path string, modules ...string) (interpreter, error) {
	p := interpreter{path: path}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	c := command(ctx, path, append([]string{"-c", aboutScript}, modules...)...)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return p, fmt.Errorf("venv: %s does not run as Python 3: %w%s", path, err, afterColon(lastLine(errs.String())))
	}
	var about struct {
		Version [3]int
		Missing []string
	}
	if err := json.Unmarshal([]byte(lastLine(out.String())), &about); err != nil {
		return p, fmt.Errorf("venv: %s is not Python: its version is %q", path, lastLine(out.String()))
	}
	p.version, p.missing = about.Version, about.Missing
	return p, nil
}

// check reports why an interpreter cannot create an environment.
func (p interpreter) check() error {
	if p.version[0] != 3 || p.version[1] < 11 {
		return fmt.Errorf("venv: %s is Python %v: %s or newer is required; choose another with --python /path/to/python3", p.path, p, Oldest)
	}
	if len(p.missing) > 0 {
		return fmt.Errorf("venv: %s lacks the standard module %s, which environments need: on Debian and Ubuntu install python3-venv (python%d.%d-venv), or choose another Python with --python",
			p.path, strings.Join(p.missing, " and "), p.version[0], p.version[1])
	}
	return nil
}

// choose returns the named interpreter, or the first suitable one on PATH.
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
		return interpreter{}, fmt.Errorf("venv: no python3 on PATH: install Python %s or newer (Debian, Ubuntu: python3 and python3-venv), or choose one with --python", Oldest)
	}
	return interpreter{}, errors.Join(why...)
}

// command runs Python isolated (-I) from the user's settings and from files in the
// working folder, which could shadow modules. On cancellation it is interrupted before it
// is killed.
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
