package cmd_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/internal/python"
)

// alone is stein in an empty folder of a user who has nothing but it: an empty home, no
// virtual environment. What pip has downloaded before, it need not download again.
func alone(t *testing.T, home, dir string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Dir = dir
	c.Env = []string{"STEIN_TEST_MAIN=1", "HOME=" + home, "PATH=" + os.Getenv("PATH")}
	if cache, err := os.UserCacheDir(); err == nil {
		c.Env = append(c.Env, "PIP_CACHE_DIR="+filepath.Join(cache, "pip"))
	}
	for _, pair := range os.Environ() { // how this machine reaches the package index
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "PIP_") && name != "PIP_CACHE_DIR" || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			c.Env = append(c.Env, pair)
		}
	}
	return c
}

// Ensure that a user of the binary alone gets a training that learns from two commands,
// even if the first one was killed on its way. It downloads 200 MB.
func TestSetupAndTrain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it makes an environment of the real packages")
	}
	home, dir := t.TempDir(), t.TempDir()
	killed := alone(t, home, dir, "setup")
	pipe, err := killed.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Collecting numpy") {
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, pipe) }()
	_ = killed.Wait() // its end is the signal

	if o := finish(t, alone(t, home, dir, "setup")); o.code != 0 || !strings.Contains(o.stdout, "next        stein train") {
		t.Fatalf("%+v", o)
	}
	if o := finish(t, alone(t, home, dir, "setup")); o.code != 0 || !strings.Contains(o.stdout, "already there") || o.stderr != "" {
		t.Errorf("%+v", o)
	}
	if o := finish(t, alone(t, home, dir, "doctor")); o.code != 0 || !strings.Contains(o.stdout, "libpjrt_cpu.so") || strings.Contains(o.stdout, "→") {
		t.Errorf("%+v", o)
	}
	o := finish(t, alone(t, home, dir, "train", "--config", "pendulum/sac", "--seed", "1", "--steps", "4000", "--eval-freq", "0", "--eval-episodes", "5", "--json",
		"--set", "policy={hidden: [64, 64]}", "--set", "agent.critic.hidden=[64, 64]"))
	if o.code != 0 {
		t.Fatalf("%+v", o)
	}
	// Without learning it is −1,200 or so.
	if r := decode[trained](t, o.stdout); r.Eval.Mean < -600 {
		t.Errorf("return %v after %d steps", r.Eval.Mean, r.Step)
	}
}

// Ensure that a Python without the packages is named with the command that helps this
// user, and by doctor too.
func TestRemedyWithoutPackages(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	interpreter := must(python.Find(""))
	bare := filepath.Join(t.TempDir(), "bare")
	if out, err := exec.Command(interpreter, "-m", "venv", "--without-pip", bare).CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	fix := "`stein setup --dir \"" + bare + "\"` installs"
	for _, args := range [][]string{{"train", "--config", "pendulum/sac", "--steps", "10"}, {"doctor"}} {
		c := alone(t, home, dir, args...)
		c.Env = append(c.Env, "VIRTUAL_ENV="+bare)
		if o := finish(t, c); o.code != 1 || !strings.Contains(o.stdout+o.stderr, fix) || strings.Contains(o.stdout+o.stderr, "make train") {
			t.Errorf("%v: %+v", args, o)
		}
	}
}
