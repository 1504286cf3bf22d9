package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// strange are the arguments of a training on testdata/strange.py, in seconds.
func strange(kwargs string, more ...string) []string {
	return append([]string{
		"--env", "strange:strange/Strange-v0", "--set", "env.kwargs=" + kwargs, "--steps", "60", "--backend", "go:ops_sequential",
		"--eval-freq", "0", "--eval-episodes", "3", "--save-freq", "0",
	}, more...)
}

// Ensure that a training without evaluations makes the environment once, with the
// largest seed too, and that one with evaluations makes as many copies as episodes.
func TestEnvironmentIsMadeOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	for every, want := range map[string]int{"0": 1, "30": 4} {
		dir := t.TempDir()
		made := filepath.Join(dir, "made")
		o := train(t, filepath.Join(dir, "run"), strange(fmt.Sprintf("{level: 1, length: 20, made: %q}", made), "--eval-freq", every, "--seed", "18446744073709551615")...)
		text, err := os.ReadFile(made)
		if o.code != 0 || err != nil || strings.Count(string(text), "\n") != want {
			t.Errorf("--eval-freq %s: %+v, %v: made %q, want %d times", every, o, err, text, want)
		}
	}
}

// Ensure that an environment without a time limit, whose episodes never end, hangs
// neither the training nor `stein eval`, and that both name the setting.
func TestEndlessEnvironment(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	run := filepath.Join(t.TempDir(), "run")
	o := train(t, run, strange("{level: 1}", "--eval-freq", "60", "--eval-episodes", "1")...)
	if o.code != 0 || !strings.Contains(o.stderr, "the environment has no time limit") || !strings.Contains(o.stderr, "env.max_steps") {
		t.Fatalf("%+v", o)
	}
	if o := finish(t, stein("eval", run, "--episodes", "1", "--json")); o.code != 0 || !strings.Contains(o.stderr, "were truncated: set env.max_steps") {
		t.Errorf("%+v", o)
	}
	if o := finish(t, stein("eval", run, "--episodes", "1", "--set", "env.max_steps=5", "--json")); o.code != 0 || strings.Contains(o.stderr, "env.max_steps") {
		t.Errorf("%+v", o)
	}
}

// Ensure that an environment that ends the process of `stein env check`, with success
// even, does not pass, and that nothing is said where nobody reads on.
func TestCheckThatEndsEarly(t *testing.T) {
	if testing.Short() {
		t.Skip("checks in processes of their own")
	}
	o := finish(t, stein("env", "check", "faulty:Faulty-v0", "--kwargs", `{"mode": "exit"}`))
	if o.code != 1 || !strings.Contains(o.stderr, "the environment ended the process after 2 checks") {
		t.Errorf("%+v", o)
	}
	var errs bytes.Buffer
	c := stein("env", "check", "faulty:Faulty-v0")
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Error(err)
	}
	if err := ended(t, c); err == nil || strings.Contains(errs.String(), "Traceback") {
		t.Errorf("%v, %s", err, &errs)
	}
}

// Ensure that a film is made with the run's arguments, of an environment that prints,
// beside JSON alone; and that a name without a format is refused before anything.
func TestFilmOfTalkingEnvironment(t *testing.T) {
	if testing.Short() {
		t.Skip("renders videos")
	}
	dir := t.TempDir()
	run, film := filepath.Join(dir, "run"), filepath.Join(dir, "films", "12:30 lr=1.MP4")
	o := train(t, run, append(strange("{level: 3, length: 20}"), "--set", "eval.video=true", "--json")...)
	if o.code != 0 {
		t.Fatalf("%+v", o)
	}
	if made := decode[struct{ Video string }](t, o.stdout).Video; made != filepath.Join(run, "video.mp4") || !there(made) {
		t.Errorf("video %q; %s", made, o.stderr)
	}
	o = finish(t, stein("eval", run, "--episodes", "1", "--json", "--video", film))
	if o.code != 0 {
		t.Fatalf("%+v", o)
	}
	got := decode[struct {
		Video   string
		Lengths []int
	}](t, o.stdout)
	info, err := os.Stat(film)
	if err != nil || info.Size() == 0 || got.Video != film || got.Lengths[0] != 20 {
		t.Errorf("%v, %v, %+v", info, err, got)
	}
	wantLine(t, finish(t, stein("eval", run, "--video", filepath.Join(dir, "film"))), 2, "unsupported extension; want .mp4")
}

// Ensure that a MUJOCO_GL that can't draw stops no training, not even one that is to be
// filmed, and is named where a film is wanted, after the episodes.
func TestUnusableGL(t *testing.T) {
	if testing.Short() {
		t.Skip("renders videos")
	}
	run := filepath.Join(t.TempDir(), "run")
	with := func(args ...string) outcome {
		c := stein(args...)
		c.Env = append(c.Env, "MUJOCO_GL=bogus")
		return finish(t, c)
	}
	args := append([]string{"train", "--config", "pendulum/sac", "--run-dir", run}, small...)
	o := with(append(args, "--env", "Hopper-v5", "--steps", "60", "--eval-freq", "0", "--eval-episodes", "1", "--backend", "go:ops_sequential", "--set", "eval.video=true")...)
	if o.code != 0 || !strings.Contains(o.stderr, "no video") {
		t.Fatalf("%+v", o)
	}
	o = with("eval", run, "--episodes", "1", "--video", filepath.Join(t.TempDir(), "walk.mp4"))
	if o.code != 1 || !strings.Contains(o.stderr, "MUJOCO_GL is bogus") || !strings.Contains(o.stdout, "mean") {
		t.Errorf("%+v", o)
	}
}
