package venv

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// wheel writes a Python package of one module into dir.
func wheel(t *testing.T, dir, name, version string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%s-py3-none-any.whl", name, version)))
	require.NoError(t, err)
	w := zip.NewWriter(f)
	info := fmt.Sprintf("%s-%s.dist-info/", name, version)
	for path, text := range map[string]string{
		name + ".py":      fmt.Sprintf("version = %q\n", version),
		info + "METADATA": fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version),
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info + "RECORD":   fmt.Sprintf("%s.py,,\n%sMETADATA,,\n%sWHEEL,,\n%sRECORD,,\n", name, info, info, info),
	} {
		to, err := w.Create(path)
		require.NoError(t, err)
		_, err = io.WriteString(to, text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
}

// offline lets pip install from a folder alone, and gives the folder.
func offline(t *testing.T) string {
	dir := t.TempDir()
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", dir)
	t.Setenv("PIP_CONFIG_FILE", os.DevNull)
	t.Setenv("VIRTUAL_ENV", "")
	t.Setenv("STEIN_PYTHON", "")
	t.Setenv("XDG_DATA_HOME", filepath.Join(t.TempDir(), "data"))
	return dir
}

func list(text string) fstest.MapFS {
	return fstest.MapFS{base: {Data: []byte(text)}, "requirements-more.txt": {Data: []byte("-r requirements.txt\nsecondwheel==2.0\n")}}
}

// Ensure that an environment is made, that another call has nothing to do, that one to
// which packages could not be added is not used, and that the next call makes it whole.
func TestMake(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs pip several times")
	}
	wheels, out := offline(t), new(bytes.Buffer)
	ctx := context.Background()
	o := Options{Out: out, lists: list("firstwheel==1.0\n"), modules: []string{"firstwheel"}}
	home, err := Home()
	require.NoError(t, err)

	wheel(t, wheels, "firstwheel", "1.0")
	made, err := Make(ctx, o)
	require.NoError(t, err, out)
	require.True(t, made.New)
	require.Equal(t, Made{Dir: home, Python: filepath.Join(home, "bin", "python"), Version: made.Version, New: true}, made)
	require.Contains(t, Find(), home)
	require.Contains(t, out.String(), "creating a Python 3.")

	t.Setenv("PIP_FIND_LINKS", t.TempDir()) // pip would find nothing
	again, err := Make(ctx, o)
	require.NoError(t, err)
	require.False(t, again.New)

	o.Extra = []string{"more"}
	_, err = Make(ctx, o)
	require.ErrorContains(t, err, "No matching distribution found for secondwheel==2.0")
	require.NotContains(t, Find(), home, "its packages may be half of each")
	require.Contains(t, Remedy(""), "`stein setup`")
	t.Setenv("PIP_FIND_LINKS", wheels)
	wheel(t, wheels, "secondwheel", "2.0")
	_, err = Make(ctx, o)
	require.NoError(t, err, out)
	require.Contains(t, out.String(), "creating it again")
	p, err := ask(ctx, made.Python, "firstwheel", "secondwheel")
	require.NoError(t, err)
	require.Empty(t, p.missing)
}

// Ensure that a call that is cut off says so, and leaves nothing that counts as finished.
func TestMakeCutOff(t *testing.T) {
	offline(t)
	ctx, cancel := context.WithCancel(context.Background())
	o := Options{Out: cutter{cancel}, lists: list("firstwheel==1.0\n"), modules: []string{"firstwheel"}}
	_, err := Make(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	home, err := Home()
	require.NoError(t, err)
	require.DirExists(t, home)
	require.NotContains(t, Find(), home)
}

// A cutter interrupts as soon as something is told.
type cutter struct{ cancel func() }

func (c cutter) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

// Ensure that a virtual environment of the user's is filled, and keeps what is in it.
func TestMakeInUsersEnvironment(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs pip")
	}
	wheels := offline(t)
	wheel(t, wheels, "firstwheel", "1.0")
	dir := filepath.Join(t.TempDir(), "mine")
	p, err := choose(context.Background(), "")
	require.NoError(t, err)
	require.NoError(t, command(context.Background(), p.path, "-m", "venv", "--without-pip", "--system-site-packages", dir).Run())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600))
	require.Contains(t, Remedy(Python(dir)), fmt.Sprintf("`stein setup --dir %q`", dir))

	_, err = Make(context.Background(), Options{Dir: dir, lists: list("firstwheel==1.0\n"), modules: []string{"firstwheel"}})
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dir, "thesis.tex"))
}

// script writes a program that stands for an interpreter.
func script(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "python3")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	return path
}

// Ensure that an interpreter that won't do is refused in words, and nothing is left.
func TestUnfitPython(t *testing.T) {
	for name, c := range map[string]struct{ python, want string }{
		"absent":       {"/no/such/python", "no Python /no/such/python"},
		"no Python":    {"/bin/ls", "/bin/ls does not run as Python 3"},
		"prints text":  {script(t, "echo hello"), `is not Python: its version is "hello"`},
		"too old":      {script(t, `echo '{"version": [3, 9, 2], "missing": []}'`), "is Python 3.9.2: 3.11 or newer is required"},
		"no ensurepip": {script(t, `echo '{"version": [3, 13, 1], "missing": ["ensurepip"]}'`), "lacks the standard module ensurepip, which environments need: on Debian and Ubuntu install python3-venv (python3.13-venv)"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "env")
			_, err := Make(context.Background(), Options{Dir: dir, Python: c.python})
			require.ErrorContains(t, err, c.want)
			require.NoDirExists(t, dir)
		})
	}
	old := script(t, `echo '{"version": [3, 9, 2], "missing": []}'`)
	t.Setenv("PATH", filepath.Dir(old))
	_, err := Make(context.Background(), Options{Dir: filepath.Join(t.TempDir(), "env")})
	require.ErrorContains(t, err, old+" is Python 3.9.2")
	t.Setenv("PATH", t.TempDir())
	_, err = Make(context.Background(), Options{Dir: filepath.Join(t.TempDir(), "env")})
	require.ErrorContains(t, err, "no python3 on PATH")
}

// Ensure that a folder with other things is refused and stays as it is.
func TestMakeInForeignFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.tex"), []byte("x"), 0o600))
	_, err := Make(context.Background(), Options{Dir: dir})
	require.ErrorContains(t, err, "is not empty and not a virtual environment")
	_, err = Make(context.Background(), Options{Dir: dir, Extra: []string{"nonsense"}})
	require.ErrorContains(t, err, "unknown requirements file requirements-nonsense.txt")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
}

// Ensure that the errors of a program are told, and a network that isn't there.
func TestComplaints(t *testing.T) {
	w := &complaints{to: io.Discard}
	fmt.Fprint(w, "WARNING: Retrying (Retry(total=4)) after connection broken by NewConnectionError\n")
	fmt.Fprint(w, "ERROR: Could not find a version\nERROR: No matching distribution found for numpy\n")
	require.Contains(t, w.String(), "No matching distribution found for numpy")
	require.Contains(t, w.String(), "the package index did not answer")
	w = &complaints{to: io.Discard}
	fmt.Fprint(w, strings.Repeat("noise\n", 1<<15), "No space left on device\n")
	require.Equal(t, ": No space left on device", w.String())
}

// Ensure the order in which environments are found.
func TestFind(t *testing.T) {
	offline(t)
	active, folder := t.TempDir(), t.TempDir()
	below := filepath.Join(folder, "a", "b")
	require.NoError(t, os.MkdirAll(below, 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(folder, ".venv"), 0o755))
	home, err := Home()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(home, 0o755))
	require.NoError(t, stamp{Made: true, Done: true}.write(home))
	t.Chdir(below)
	t.Setenv("VIRTUAL_ENV", active)
	require.Equal(t, []string{active, filepath.Join(folder, ".venv"), home}, Find())
}
