package venv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/stein-rl/stein"
)

// base is the requirements file of every environment.
const base = "requirements.txt"

// Options describe the environment to create.
type Options struct {
	Dir    string   // folder of the environment; "": Home
	Python string   // interpreter to create it with; "": the first suitable one on PATH
	Extra  []string // further requirements, such as cuda for requirements-cuda.txt
	Out    io.Writer

	lists   fs.ReadFileFS // nil: those of this program
	modules []string      // imported as a test; nil: those that a simulator needs
	in      string        // working folder of Python; "": this one
	locked  *os.File      // the folder's parent
}

// A Made is a complete environment.
type Made struct {
	Dir     string // absolute
	Python  string // its interpreter
	Version string // of Python
	New     bool   // something was installed
}

// Make creates an environment or completes an existing one. It removes and recreates what
// an interrupted call left behind. It fills an environment made by the user but never
// removes it, and rejects a folder with other content. Concurrent calls for the same
// folder wait for one another.
func Make(ctx context.Context, o Options) (Made, error) {
	if o.lists == nil {
		o.lists = stein.Requirements
	}
	if o.modules == nil {
		o.modules = []string{"gymnasium", "mujoco", "numpy", "zmq", "google.protobuf"}
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	dir, err := o.folder()
	if err != nil {
		return Made{}, err
	}
	lists := map[string]string{}
	for _, name := range o.names() {
		if lists[name], err = sumOf(o.lists, name); err != nil {
			return Made{}, err
		}
	}
	if o.locked, err = lock(ctx, filepath.Dir(dir), o.Out); err != nil {
		return Made{}, err
	}
	defer o.locked.Close()

	s, p, err := o.open(ctx, dir)
	if err != nil {
		return Made{}, err
	}
	made := Made{Dir: dir, Python: Python(dir), Version: p.String(), New: !s.has(lists)}
	if !made.New {
		return made, nil
	}
	s.Done, s.Python = false, p.String()
	if s.Lists == nil {
		s.Lists = map[string]string{}
	}
	for name, sum := range lists {
		s.Lists[name] = sum
	}
	if err := s.write(dir); err != nil {
		return Made{}, err
	}
	if err := o.install(ctx, made.Python); err != nil {
		return Made{}, err
	}
	s.Done = true
	return made, s.write(dir)
}

// folder is the absolute path of the environment, without symbolic links.
func (o Options) folder() (string, error) {
	if o.Dir == "" {
		return Home()
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return "", fmt.Errorf("venv: %w", err)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real, nil
	}
	return dir, nil
}

// names are the requirements files to install.
func (o Options) names() []string {
	names := []string{base}
	for _, extra := range o.Extra {
		names = append(names, "requirements-"+extra+".txt")
	}
	return names
}

// open opens the environment in a folder and its interpreter. If it is missing or
// incomplete, open first creates it without packages.
func (o Options) open(ctx context.Context, dir string) (stamp, interpreter, error) {
	s, err := readStamp(dir)
	switch {
	case err == nil && s.Made:
		if p, ok := o.whole(ctx, dir, s); ok {
			return s, p, nil
		}
		if _, err := choose(ctx, o.Python); err != nil { // fail before anything is removed
			return s, interpreter{}, err
		}
		fmt.Fprintf(o.Out, "the environment in %s is incomplete or for another Python: creating it again\n", dir)
		if err := o.empty(dir); err != nil {
			return s, interpreter{}, err
		}
		return o.create(ctx, dir)
	case Of(Python(dir)) != "": // made by the user
		p, err := ask(ctx, Python(dir))
		if err == nil {
			err = p.check()
		}
		if err == nil && !o.wanted(ctx, p) {
			err = fmt.Errorf("venv: the environment %s has Python %v, not that of %s: omit --python, or choose another --dir", dir, p, o.Python)
		}
		return s, p, err
	}
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, interpreter{}, fmt.Errorf("venv: %w", err)
	}
	if len(files) > 0 {
		return s, interpreter{}, fmt.Errorf("venv: %s is not empty and not a virtual environment: choose another --dir", dir)
	}
	return o.create(ctx, dir)
}

// whole reports whether a complete environment still works and has the wanted Python.
func (o Options) whole(ctx context.Context, dir string, s stamp) (interpreter, bool) {
	if !s.Done {
		return interpreter{}, false
	}
	p, err := ask(ctx, Python(dir), o.modules...)
	return p, err == nil && len(p.missing) == 0 && o.wanted(ctx, p)
}

// wanted reports whether an environment's Python has the version of the requested
// interpreter.
func (o Options) wanted(ctx context.Context, p interpreter) bool {
	if o.Python == "" {
		return true
	}
	named, err := choose(ctx, o.Python)
	return err == nil && named.version == p.version
}

// empty removes an environment created by Make. The stamp is removed last, so that after
// an interruption the rest is still recognised.
func (o Options) empty(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("venv: %w", err)
	}
	for _, f := range files {
		if f.Name() != stampName {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, f.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("venv: removing the incomplete environment %s: %w", dir, err)
	}
	return nil
}

// create creates an environment without packages.
func (o Options) create(ctx context.Context, dir string) (stamp, interpreter, error) {
	s := stamp{Made: true}
	p, err := choose(ctx, o.Python)
	if err != nil {
		return s, p, err
	}
	s.Python = p.String()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return s, p, fmt.Errorf("venv: %w", err)
	}
	if err := s.write(dir); err != nil {
		return s, p, err
	}
	fmt.Fprintf(o.Out, "creating a Python %v environment in %s\n", p, dir)
	if err := o.run(ctx, p.path, "-m", "venv", "--without-pip", dir); err != nil {
		return s, p, fmt.Errorf("venv: %s could not create the environment: %w", p.path, err)
	}
	return s, p, nil
}

// install runs pip, and checks that the important modules can be imported.
func (o Options) install(ctx context.Context, python string) error {
	if p, err := ask(ctx, python, "pip"); err != nil {
		return err
	} else if len(p.missing) > 0 {
		if err := o.quiet().run(ctx, python, "-m", "ensurepip", "--default-pip"); err != nil {
			return fmt.Errorf("venv: no pip in the environment: %w", err)
		}
	}
	tmp, err := os.MkdirTemp("", "stein-setup-")
	if err != nil {
		return fmt.Errorf("venv: %w", err)
	}
	defer os.RemoveAll(tmp)
	args := []string{"-m", "pip", "install"}
	for _, name := range o.names() {
		args = append(args, "-r", name)
	}
	for _, name := range append(o.names(), base) { // requirements files include each other
		text, err := o.lists.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(tmp, name), text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("venv: %w", err)
		}
	}
	fmt.Fprintf(o.Out, "installing the packages of %s\n", strings.Join(o.names(), ", "))
	o.in = tmp
	if err := o.run(ctx, python, args...); err != nil {
		return fmt.Errorf("venv: pip could not install the packages: %w\nfix the cause and run the same command again", err)
	}
	p, err := ask(ctx, python, o.modules...)
	if err == nil && len(p.missing) > 0 {
		err = fmt.Errorf("venv: pip succeeded, but %s cannot be imported: choose another --dir", strings.Join(p.missing, ", "))
	}
	return err
}

// quiet is o without progress messages.
func (o Options) quiet() Options {
	o.Out = io.Discard
	return o
}

// run runs Python with its output on Out. The error includes the last error that it
// printed.
func (o Options) run(ctx context.Context, python string, args ...string) error {
	out := o.Out
	if _, file := out.(*os.File); !file { // two goroutines write to anything but a file
		out = &shared{to: out}
	}
	words := &complaints{to: out}
	c := command(ctx, python, args...)
	c.Dir, c.Stdout, c.Stderr = o.in, out, words
	// If this program is killed, a running pip keeps the lock, and the next call waits
	// for it before it removes the incomplete environment.
	c.ExtraFiles = []*os.File{o.locked}
	err := c.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w%s", err, words)
	}
	return err
}

// shared serialises concurrent writes.
type shared struct {
	mu sync.Mutex
	to io.Writer
}

func (w *shared) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// complaints passes on a program's stderr and remembers its errors.
type complaints struct {
	to   io.Writer
	text []byte
}

func (w *complaints) Write(p []byte) (int, error) {
	w.text = append(w.text, p...)
	if n := len(w.text) - 1<<16; n > 0 {
		w.text = slices.Delete(w.text, 0, n)
	}
	return w.to.Write(p)
}

// String is the errors, with a hint if the network is the cause.
func (w *complaints) String() string {
	var errors []string
	offline := false
	for line := range strings.Lines(string(w.text)) {
		line = strings.TrimSpace(line)
		offline = offline || strings.Contains(line, "Retrying") || strings.Contains(line, "ConnectionError")
		if text, ok := strings.CutPrefix(line, "ERROR: "); ok {
			errors = append(errors, text)
		}
	}
	if len(errors) == 0 {
		return afterColon(lastLine(string(w.text)))
	}
	text := "\n  " + strings.Join(errors, "\n  ")
	if offline {
		text += "\n  the package index did not answer: is there a network? A proxy goes into https_proxy, another index into PIP_INDEX_URL"
	}
	return text
}
