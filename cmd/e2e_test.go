package cmd_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stein-rl/stein/cmd"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/runs"
)

// TestMain lets the test binary be stein: signals want a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("STEIN_TEST_MAIN") != "" {
		os.Exit(cmd.Main(experiments.Builtin()))
	}
	code := m.Run()
	os.Remove(plainFile) // is there if a test used it
	os.Exit(code)
}

// small makes a training of a few hundred steps out of a configuration.
var small = []string{
	"--seed", "3", "--steps", "300", "--eval-freq", "100", "--eval-episodes", "2", "--save-freq", "100", "--log-freq", "50",
	"--set", "policy={hidden: [16]}", "--set", "agent={critic: {hidden: [16]}}", "--set", "schedule={batch_size: 16, random_steps: 40, learning_starts: 40}",
	"--set", "replay.capacity=1000",
}

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

func train(t *testing.T, dir string, args ...string) outcome {
	t.Helper()
	all := append([]string{"train", "--config", "pendulum/sac", "--run-dir", dir}, small...)
	return finish(t, stein(append(all, args...)...))
}

type trained struct {
	Folder, Checkpoint, Curve string
	Step                      int64
	Interrupted               bool
	Best                      float64 `json:"best_mean_reward"`
	Eval                      struct {
		Mean    float64
		Returns []float64
		Lengths []int
	}
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return v
}

// figures are the metrics of a run, without the columns that tell time.
func figures(t *testing.T, dir string) map[string][2][]float64 {
	t.Helper()
	table, err := runs.ReadTable(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][2][]float64{}
	for _, name := range table.Columns {
		if name != "time" && !strings.HasPrefix(name, "time/") {
			steps, values := table.Series(name)
			all[name] = [2][]float64{steps, values}
		}
	}
	return all
}

// weights are the sums of the files of a checkpoint.
func weights(t *testing.T, checkpoint string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(checkpoint, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, f := range decode[struct {
		Files []struct{ Name, SHA256 string }
	}](t, string(data)).Files {
		sums[f.Name] = f.SHA256
	}
	return sums
}

// Ensure that a run ends at exactly its steps and leaves everything behind, that
// the same seed gives the same figures and weights, and another one others.
func TestTrain(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	dir := t.TempDir()
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	first := train(t, a, "--json")
	if first.code != 0 {
		t.Fatalf("code %d, %s", first.code, first.stderr)
	}
	result := decode[trained](t, first.stdout)
	if result.Step != 300 || result.Interrupted || result.Folder != a || len(result.Eval.Returns) != 2 || result.Eval.Lengths[0] != 200 {
		t.Errorf("%+v", result)
	}
	for _, file := range []string{"config.yaml", "run.json", "metrics.csv", "metrics.jsonl", "log.jsonl", "curve.png"} {
		if info, err := os.Stat(filepath.Join(a, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	if events, _ := filepath.Glob(filepath.Join(a, "events.out.tfevents.*")); len(events) != 1 {
		t.Errorf("event files %v", events)
	}
	got := figures(t, a)
	for name, steps := range map[string][]float64{
		"eval/mean_reward": {100, 200, 300}, "train/critic_loss": {50, 100, 150, 200, 250, 300}, "rollout/ep_rew_mean": {200, 250, 300},
	} {
		if !reflect.DeepEqual(got[name][0], steps) {
			t.Errorf("%s at steps %v, want %v", name, got[name][0], steps)
		}
	}
	if best := slices.Max(got["eval/mean_reward"][1]); best != result.Best {
		t.Errorf("best %g, evaluations %v", result.Best, got["eval/mean_reward"])
	}

	doc := string(must(os.ReadFile("../docs/metrics.md")))
	for name := range got {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/metrics.md says nothing of %s", name)
		}
	}

	second, third := train(t, b, "--json"), train(t, c, "--json", "--seed", "4")
	if second.code != 0 || third.code != 0 {
		t.Fatal(second.stderr, third.stderr)
	}
	if other := figures(t, b); !reflect.DeepEqual(got, other) {
		t.Errorf("the same seed gives other figures:\n%v\n%v", got, other)
	}
	if x, y := weights(t, result.Checkpoint), weights(t, decode[trained](t, second.stdout).Checkpoint); !reflect.DeepEqual(x, y) {
		t.Errorf("the same seed gives other weights: %v, %v", x, y)
	}
	if reflect.DeepEqual(got["train/critic_loss"], figures(t, c)["train/critic_loss"]) {
		t.Error("another seed gives the same losses")
	}
	t.Run("eval", func(t *testing.T) { testEval(t, a) })
	t.Run("complete", func(t *testing.T) {
		if o := finish(t, stein("train", "--resume", a)); o.code != 0 || !strings.Contains(o.stdout, "already has its 300 steps; set a larger --steps") {
			t.Errorf("%+v", o)
		}
	})
	t.Run("truncated", func(t *testing.T) { testTruncated(t, b) })
	t.Run("older", func(t *testing.T) { testOlder(t, c) })
}

func testEval(t *testing.T, run string) {
	type report struct {
		Step    int64
		Returns []float64
		IQM     float64
	}
	one := finish(t, stein("eval", run, "--episodes", "3", "--json", "--seed", "9"))
	two := finish(t, stein("eval", run, "--episodes", "3", "--json", "--seed", "9"))
	if one.code != 0 || one.stdout != two.stdout {
		t.Errorf("code %d, %s; with the same seed\n%s, then\n%s", one.code, one.stderr, one.stdout, two.stdout)
	}
	if r := decode[report](t, one.stdout); r.Step != 300 || len(r.Returns) != 3 {
		t.Errorf("%+v", r)
	}
	o := finish(t, stein("eval", run, "--checkpoint", "200", "--episodes", "1"))
	if o.code != 0 || !strings.Contains(o.stdout, "checkpoint of step 200") || !strings.Contains(o.stdout, "IQM") {
		t.Errorf("%+v", o)
	}
	wantLine(t, finish(t, stein("eval", run, "--checkpoint", "77")), 1, "no checkpoint of step 77; available steps: [100 200 300]")
}

// testTruncated cuts the newest checkpoint short.
func testTruncated(t *testing.T, run string) {
	file := filepath.Join(run, "checkpoints", "step-000000300", "agent.safetensors")
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	o := finish(t, stein("eval", run, "--episodes", "1"))
	if o.code != 0 || !strings.Contains(o.stdout, "checkpoint of step 200") || !strings.Contains(o.stderr, "skipping a damaged checkpoint") {
		t.Errorf("%+v", o)
	}
	for _, step := range []string{"100", "200"} {
		if err := os.Truncate(filepath.Join(run, "checkpoints", "step-000000"+step, "agent.safetensors"), 100); err != nil {
			t.Fatal(err)
		}
	}
	wantLine(t, finish(t, stein("eval", run, "--episodes", "1")), 1, "no usable checkpoint")
}

func testOlder(t *testing.T, run string) {
	path := filepath.Join(run, "config.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Replace(data, []byte(fmt.Sprintf("version: %d\n", experiments.Version)), []byte("version: 0\nspeed: 3\n"), 1)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	wantLine(t, finish(t, stein("eval", run)), 1, "version: 0 is older than this stein")
	wantLine(t, finish(t, stein("train", "--resume", run)), 2, "version: 0 is older than this stein")
}

// wantLine wants a failure whose last words are one line that says what is wrong.
func wantLine(t *testing.T, o outcome, code int, want string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(o.stderr), "\n")
	last := lines[len(lines)-1]
	if o.code != code || !strings.HasPrefix(last, "stein: ") || !strings.Contains(last, want) {
		t.Errorf("code %d, want %d; last line %q, want %q; all:\n%s", o.code, code, last, want, o.stderr)
	}
}

// Ensure that with exact checkpoints a run that was killed ends as one that was not.
func TestKilledExact(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	more := []string{"--steps", "600", "--save-freq", "150", "--eval-freq", "200", "--set", "checkpoint.exact=true", "--workers", "2",
		"--set", "normalize={obs: true, reward: true}", "--set", "replay.kind=prioritized", "--backend", "go:ops_sequential", "--json"}
	quiet, dir := filepath.Join(t.TempDir(), "quiet"), filepath.Join(t.TempDir(), "killed")
	undisturbed := train(t, quiet, more...)
	c := stein(append(append([]string{"train", "--config", "pendulum/sac", "--run-dir", dir}, small...), more...)...)
	killed(t, c, func() bool { return there(dir, "checkpoints", "step-000000300") })
	resumed := finish(t, stein("train", "--resume", dir, "--json"))
	if undisturbed.code != 0 || resumed.code != 0 {
		t.Fatalf("%+v, %+v", undisturbed, resumed)
	}
	if from := must(runs.ReadInfo(dir)).Sessions[1].FromStep; from < 300 || from >= 600 {
		t.Errorf("resumed from step %d", from)
	}
	if got, want := figures(t, dir), figures(t, quiet); !reflect.DeepEqual(got, want) {
		t.Errorf("the figures differ from those of the undisturbed run:\n%v\n%v", got, want)
	}
	a, b := decode[trained](t, resumed.stdout), decode[trained](t, undisturbed.stdout)
	if x, y := weights(t, a.Checkpoint), weights(t, b.Checkpoint); !reflect.DeepEqual(x, y) {
		t.Errorf("the weights differ: %v, %v", x, y)
	}
}

// Ensure that a signal leaves a checkpoint and code 0, and that the run then goes on
// to its end as if nothing had happened.
func TestInterruptAndResume(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	dir := filepath.Join(t.TempDir(), "run")
	c := stein(append([]string{"train", "--config", "pendulum/sac", "--run-dir", dir, "--json"}, append(slices.Clone(small),
		"--steps", "1000000", "--set", "normalize={obs: true, reward: true}", "--set", "replay.kind=prioritized", "--workers", "2")...)...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitForStep(t, dir, 150, &errs)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, c); err != nil {
		t.Fatalf("%v, %s", err, errs.String())
	}
	stopped := decode[trained](t, out.String())
	if !stopped.Interrupted || stopped.Step < 150 {
		t.Fatalf("%+v", stopped)
	}
	steps := (stopped.Step/8 + 17) * 8 // a round of updates is at the end
	if sums := weights(t, stopped.Checkpoint); sums["normalize.json"] == "" {
		t.Errorf("the checkpoint holds %v", sums)
	}
	o := finish(t, stein("train", "--resume", dir, "--steps", strconv.FormatInt(steps, 10), "--json"))
	if o.code != 0 {
		t.Fatalf("code %d, %s", o.code, o.stderr)
	}
	if r := decode[trained](t, o.stdout); r.Step != steps || r.Interrupted {
		t.Errorf("%+v, want to end at step %d", r, steps)
	}
	losses := figures(t, dir)["train/critic_loss"][0]
	if !slices.IsSorted(losses) || len(slices.Compact(slices.Clone(losses))) != len(losses) || losses[len(losses)-1] != float64(steps) {
		t.Errorf("losses at steps %v", losses)
	}
	wantLine(t, finish(t, stein("train", "--resume", dir, "--seed", "4")), 2, "a resumed run keeps its seed, 3")
	again := finish(t, stein("train", "--resume", dir)) // --steps of the last time is the run's now
	if again.code != 0 || !strings.Contains(again.stdout, fmt.Sprintf("has its %d steps", steps)) {
		t.Errorf("%+v", again)
	}
	info := must(runs.ReadInfo(dir))
	if len(info.Sessions) != 2 || info.Sessions[1].FromStep != stopped.Step {
		t.Errorf("sessions %+v, want a second one from step %d", info.Sessions, stopped.Step)
	}
}

// Ensure that a second signal ends the process at once, even while it is deep in
// something that takes its time, such as compiling.
func TestSecondSignal(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	for name, sig := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT that the caller ignores": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) { secondSignal(t, sig) })
	}
}

func secondSignal(t *testing.T, sig syscall.Signal) {
	c := stein("train", "--config", "pendulum/sac", "--run-dir", filepath.Join(t.TempDir(), "run"))
	if sig == syscall.SIGINT { // as of a command that a script has started with &
		c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", `trap "" INT; exec "$@"`, "sh"}, c.Args...)
	}
	pipe, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	for lines.Scan() && !strings.Contains(lines.Text(), `"for":"evaluation"`) {
	} // what follows is the compilation
	// The second may come before the first is heeded: then the third is the second.
	gone, told := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(gone)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "second signal") {
				select {
				case told <- lines.Text():
				default:
				}
			}
		}
	}()
	if err := c.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-told:
		if !strings.Contains(line, "when the compilation in progress is done") {
			t.Errorf("the first signal is answered by %s", line)
		}
	case <-time.After(patience):
		t.Error("the first signal is not answered")
	}
	for signals, waiting := 0, true; waiting; signals++ {
		if err := c.Process.Signal(sig); err != nil || signals == 1000 {
			t.Fatalf("signal %d: %v", signals, err)
		}
		select {
		case <-gone:
			waiting = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	err = ended(t, c)
	status, ok := c.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != sig && status.ExitStatus() != 128+int(sig) {
		t.Errorf("%v, want an end by the signal", err)
	}
}

// waitForStep waits until a run has recorded figures of a step or a later one.
func waitForStep(t *testing.T, dir string, step int64, stderr *bytes.Buffer) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if table, err := runs.ReadTable(dir); err == nil {
			if n := len(table.Rows); n > 0 && table.Step(n-1) >= step {
				return
			}
		}
	}
	t.Fatalf("no step %d within %v; %s", step, patience, stderr.String())
}

// Ensure that what goes wrong is one clear line and a code, with nothing lost.
func TestBadInput(t *testing.T) {
	busy := filepath.Join(t.TempDir(), "busy")
	if err := os.Mkdir(busy, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(busy, "thesis.tex"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		env  string
		code int
		want string
	}{
		{"missing run folder", []string{"train", "--resume", "nowhere"}, "", 2, "run folder nowhere does not exist"},
		{"missing run folder, eval", []string{"eval", "nowhere"}, "", 1, "run folder nowhere does not exist"},
		{"no run folder", []string{"eval", busy}, "", 1, "is not a run folder: it has no run.json"},
		{"folder with other things", []string{"train", "--config", "pendulum/sac", "--run-dir", busy}, "", 1, "is not empty"},
		{"neither config nor resume", []string{"train"}, "", 2, "want --config NAME"},
		{"unknown config", []string{"train", "--config", "pendulm/sac"}, "", 2, "did you mean pendulum/sac?"},
		{"bad steps", []string{"train", "--config", "pendulum/sac", "--steps", "0"}, "", 2, "steps: 0: want >= 1"},
		{"unknown environment", []string{"train", "--config", "pendulum/sac", "--env", "Pendulum-v9"}, "", 1, "Pendulum-v9"},
		{"discrete actions", []string{"train", "--config", "pendulum/sac", "--env", "CartPole-v1"}, "", 1, "Discrete"},
		{"no Python", []string{"train", "--config", "pendulum/sac"}, "STEIN_PYTHON=/no/such/python", 1, "no Python found"},
		{"no backend", []string{"train", "--config", "pendulum/sac", "--backend", "xla:/no/plugin.so"}, "", 1, "/no/plugin.so"},
		{"memory too large", []string{"train", "--config", "pendulum/sac", "--set", "replay.capacity=1e12"}, "", 1, "lower the capacity"},
		{"endpoint without keys", []string{"train", "--config", "pendulum/sac", "--envs", "tcp://192.0.2.1:5600"}, "", 1, "key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if args[0] == "train" && !slices.Contains(args, "--run-dir") && !slices.Contains(args, "--resume") {
				args = append(args, "--run-dir", filepath.Join(t.TempDir(), "run"))
			}
			p := stein(args...)
			if c.env != "" {
				p.Env = append(p.Env, c.env)
			}
			o := finish(t, p)
			if !strings.Contains(o.stderr, c.want) || o.code != c.code || o.stdout != "" {
				t.Errorf("code %d, want %d; want %q in:\n%s\nstdout %q", o.code, c.code, c.want, o.stderr, o.stdout)
			}
		})
	}
}

// Ensure that an environment that goes wrong ends the run by name, with a
// checkpoint of the last good state.
func TestFaultyEnvironment(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	for mode, want := range map[string]string{"raise": "the leg came off", "nan": "reward is NaN"} {
		t.Run(mode, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			o := train(t, dir, "--env", "faulty:Faulty-v0", "--eval-freq", "0", "--set", "env.kwargs={mode: "+mode+", after: 70}")
			wantLine(t, o, 1, want)
			wantLine(t, o, 1, "the last good state, of step 70, is in "+filepath.Join(dir, "checkpoints", "step-000000070"))
			if sums := weights(t, filepath.Join(dir, "checkpoints", "step-000000070")); sums["agent.safetensors"] == "" || sums["replay.bin"] == "" {
				t.Errorf("the checkpoint holds %v", sums)
			}
		})
	}
}

// Ensure that a disk that is too full for a checkpoint costs no training step, and
// is told.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	dir := filepath.Join(t.TempDir(), "run")
	args := append([]string{"-c", `ulimit -f 24; exec "$0" "$@"`, os.Args[0], "train", "--config", "pendulum/sac", "--run-dir", dir}, small...)
	c := exec.Command("bash", append(args, "--set", "policy={hidden: [64, 64]}")...)
	c.Env = append(os.Environ(), "STEIN_TEST_MAIN=1")
	o := finish(t, c)
	if !strings.Contains(o.stderr, "cannot write a checkpoint; training continues") || o.code != 1 {
		t.Errorf("%+v", o)
	}
	if losses := figures(t, dir)["train/critic_loss"][0]; losses[len(losses)-1] != 300 {
		t.Errorf("losses at steps %v, want to 300", losses)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "checkpoints", "*")); len(left) != 0 {
		t.Errorf("%v is left of checkpoints that failed", left)
	}
}

// Ensure that two processes don't train in one folder.
func TestLockedFolder(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	dir := filepath.Join(t.TempDir(), "run")
	seed := runs.Seed(1)
	folder, err := runs.Create(dir, "", "pendulum/sac", experiments.Config{Version: 1, Seed: &seed})
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := folder.Begin(runs.Session{}); err != nil {
		t.Fatal(err)
	}
	if _, err := runs.Open(dir); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("error %v", err)
	}
}
