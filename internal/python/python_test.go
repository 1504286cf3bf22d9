package python_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/internal/python"
)

// run runs a script as Stein runs Python, and gives what it printed.
func run(t *testing.T, script string) (out string, err error) {
	t.Helper()
	interpreter, err := python.Find("")
	if err != nil {
		t.Fatal(err)
	}
	env, err := python.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := python.Command(t.Context(), interpreter, env, "-c", script).CombinedOutput()
	return string(text), err
}

// folder is a working directory with files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	interpreter, err := python.Find("") // before the working directory is another
	if err == nil {
		interpreter, err = filepath.Abs(interpreter)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("STEIN_PYTHON", interpreter)
	t.Chdir(dir)
	return dir
}

// Ensure that files of the working directory hide neither the standard library nor
// what Stein needs, while modules of the user's own are found there, before
// installed packages.
func TestWorkingDirectory(t *testing.T) {
	spoilt := "raise SystemExit('spoilt')"
	dir := folder(t, map[string]string{
		"random.py": spoilt, "queue.py": spoilt, "stein_env.py": spoilt, "zmq.py": spoilt, "mine.py": "", "pytest.py": "",
	})
	t.Setenv("PYTHONSAFEPATH", "1")
	out, err := run(t, `
import random, queue
from stein_env import here, worker
here.see_working_directory()
import mine, pytest, zmq
print(mine.__file__, pytest.__file__)`)
	if want := filepath.Join(dir, "mine.py") + " " + filepath.Join(dir, "pytest.py"); err != nil || strings.TrimSpace(out) != want {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}

// Ensure that variables meant for another Python do no harm.
func TestVariables(t *testing.T) {
	t.Setenv("PYTHONHOME", "/nowhere")
	t.Setenv("PYTHONINSPECT", "1")
	if out, err := run(t, "print('fine')"); err != nil || strings.TrimSpace(out) != "fine" {
		t.Errorf("%v: %s", err, out)
	}
}

// Ensure that the line of a dying Python that says why is found.
func TestLastWords(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"  \n\n", ""},
		{"Segmentation fault\n", "Segmentation fault"},
		{
			"Traceback (most recent call last):\n  File \"/a/x.py\", line 1, in <module>\n    import y\n  File \"/a/y.py\", line 3, in <module>\n    1/0\n    ~^~\nZeroDivisionError: division by zero\n",
			"ZeroDivisionError: division by zero (/a/y.py, line 3)",
		},
		{"Error in sitecustomize; set PYTHONVERBOSE for traceback:\nValueError: not yours\n", "ValueError: not yours"},
		{
			"Fatal Python error: init_fs_encoding: failed\nPython runtime state: core initialized\nModuleNotFoundError: No module named 'encodings'\n\nCurrent thread 0x00007f (most recent call first):\n  <no Python frame>\n",
			"ModuleNotFoundError: No module named 'encodings'; unset PYTHONHOME, which belongs to another Python",
		},
		{"Fatal Python error: init_fs_encoding\n\nCurrent thread:\n  <no Python frame>", "Fatal Python error: init_fs_encoding"},
		{"Unknown option: -P\nusage: python3 [option] ...\nTry `python -h' for more information.\n", "this Python is older than the required 3.11"},
		{
			"ValueError: caught\nFatal Python error: Segmentation fault\n\nStack (most recent call first):\n  File \"/a/x.py\", line 7 in step\n  File \"/b.py\", line 1 in <module>\n",
			"Fatal Python error: Segmentation fault (/a/x.py, line 7)",
		},
		{"mine.Problem: too deep\n", "mine.Problem: too deep"},
		{"KeyboardInterrupt\n", "KeyboardInterrupt"},
	} {
		if got := python.LastWords(strings.Split(c.text, "\n")); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// Ensure that the words of a process that died while it started are Python's own.
func TestLastWordsOfPython(t *testing.T) {
	dir := folder(t, map[string]string{"sitecustomize.py": "raise SystemExit('not yours')"})
	t.Setenv("PYTHONPATH", dir)
	out, err := run(t, "")
	if words := python.LastWords(strings.Split(out, "\n")); err == nil || !strings.Contains(words, "not yours") || !strings.Contains(words, "sitecustomize.py") {
		t.Errorf("%v: %q of %s", err, words, out)
	}
}

func FuzzLastWords(f *testing.F) {
	f.Add("Traceback (most recent call last):\n  File \"x\", line 1\nValueError: \n\n")
	f.Add("\xff\x00\nFatal Python error")
	f.Fuzz(func(t *testing.T, text string) {
		words := python.LastWords(strings.Split(text, "\n"))
		if strings.Contains(words, "\n") || words == "" && strings.TrimSpace(text) != "" {
			t.Errorf("%q of %q", words, text)
		}
	})
}
