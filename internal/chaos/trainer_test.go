//go:build linux

package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// pythonPath has the probe environments.
var pythonPath = func() string {
	path, err := filepath.Abs("../../python_env/tests")
	if err != nil {
		panic(err)
	}
	return path
}()

// tiny is a run that is done within a second: networks of eight units, computed by
// the interpreter, which has nothing to compile.
var tiny = []string{
	"--seed", "3", "--steps", "400", "--log-freq", "20", "--save-freq", "100", "--keep", "3",
	"--eval-freq", "0", "--eval-episodes", "1", "--backend", "go:ops_sequential", "--threads", "1",
	"--set", "policy={hidden: [8]}", "--set", "replay.capacity=100000",
	"--set", "agent={critic: {hidden: [8]}}", "--set", fmt.Sprintf("schedule={batch_size: 16, random_steps: %d, learning_starts: %d}", warmup, warmup),
	"--log-format", "json", "--log-level", "debug",
}

const (
	warmup = 40 // steps before the first update
	fused  = 8  // updates of a minibatch drawn, the configuration's default
	logged = 20 // steps between rows of the metrics
)

// train starts a training of tiny size in a place's folder.
func (p place) train(t *testing.T, args ...string) *process {
	t.Helper()
	all := append([]string{"train", "--config", "pendulum/sac", "--run-dir", p.path("run")}, tiny...)
	return start(t, p.command(stein, append(all, args...)...))
}

// resume goes on with it.
func (p place) resume(t *testing.T, args ...string) *process {
	t.Helper()
	all := []string{"train", "--resume", p.path("run"), "--log-format", "json", "--log-level", "debug"}
	return start(t, p.command(stein, append(all, args...)...))
}

// worker is the process of the nth worker that a trainer has started, from 1.
func worker(t *testing.T, trainer *process, nth int, forEvaluation bool) int {
	t.Helper()
	var ready []line
	trainer.until(t, fmt.Sprintf("worker %d", nth), func() bool {
		ready = slices.DeleteFunc(trainer.logs.named("worker ready"), func(l line) bool {
			return (l["for"] != nil) != forEvaluation
		})
		return len(ready) >= nth
	})
	return int(ready[nth-1]["pid"].(float64))
}

// untilStep waits until figures of a step or a later one are recorded.
func (p place) untilStep(t *testing.T, trainer *process, step int64) {
	t.Helper()
	trainer.until(t, fmt.Sprintf("step %d", step), func() bool { return p.step() >= step })
}

// step is the last one recorded.
func (p place) step() int64 {
	table, err := runs.ReadTable(p.path("run"))
	if err != nil || len(table.Rows) == 0 {
		return -1
	}
	return table.Step(len(table.Rows) - 1)
}

// counters are those that a checkpoint keeps and that a fault must not change: of
// steps, of minibatches drawn, of updates done and due.
type counters struct {
	Step    int64
	Batches uint64
	Owed    float64
	Updates uint64
}

// due are the counters that a run has at a step, whatever has happened to it.
func due(step int64) counters {
	learned := uint64(max(step-warmup, 0))
	return counters{step, learned / fused, float64(learned % fused), learned - learned%fused}
}

// wantDone wants a run that is whole and at its end: every checkpoint usable, the
// newest that of the last step with the counters due then, metrics of each step that
// was due, once and in order.
func (p place) wantDone(t *testing.T, steps int64) {
	t.Helper()
	if got := p.wantCheckpoints(t); got != due(steps) {
		t.Errorf("counters %+v, want %+v", got, due(steps))
	}
	var want []float64
	for step := int64(logged); step <= steps; step += logged {
		want = append(want, float64(step))
	}
	table := must(runs.ReadTable(p.path("run")))(t)
	if got, _ := table.Series("time/fps"); !reflect.DeepEqual(got, want) {
		t.Errorf("metrics.csv has figures of the steps %v, want each %d to %d", got, logged, steps)
	}
	if got := p.jsonSteps(t); !reflect.DeepEqual(got, want) {
		t.Errorf("metrics.jsonl has figures of the steps %v, want each %d to %d", got, logged, steps)
	}
}

// wantCheckpoints wants all checkpoints usable and nothing beside them, and gives the
// counters of the newest.
func (p place) wantCheckpoints(t *testing.T) counters {
	t.Helper()
	root := runs.Checkpoints(p.path("run"))
	folders := must(os.ReadDir(root))(t)
	for _, f := range folders {
		if _, err := checkpoint.Open(filepath.Join(root, f.Name())); err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
	return p.newest(t)
}

// newest reads the counters of the newest usable checkpoint.
func (p place) newest(t *testing.T) counters {
	t.Helper()
	c, skipped, err := checkpoint.Latest(runs.Checkpoints(p.path("run")))
	if err != nil || len(skipped) > 0 {
		t.Fatalf("%v, skipped %v", err, skipped)
	}
	var loop agents.LoopState
	var learner agents.Counters
	if err := c.JSON("loop", &loop); err != nil {
		t.Fatal(err)
	}
	if err := c.JSON("agent", &learner); err != nil {
		t.Fatal(err)
	}
	if loop.Step != c.Manifest.Step {
		t.Errorf("the checkpoint of step %d holds the loop of step %d", c.Manifest.Step, loop.Step)
	}
	return counters{loop.Step, loop.Batches, loop.Owed, learner.Updates}
}

func (p place) jsonSteps(t *testing.T) (steps []float64) {
	t.Helper()
	data := must(os.ReadFile(p.path("run/metrics.jsonl")))(t)
	for text := range strings.Lines(string(data)) {
		var row map[string]float64
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			t.Errorf("metrics.jsonl: %v in %q", err, text)
		}
		if _, trained := row["time/fps"]; trained {
			steps = append(steps, row["step"])
		}
	}
	return steps
}

// figures are a run's metrics, without the columns that tell time or faults.
func (p place) figures(t *testing.T) map[string][2][]float64 {
	t.Helper()
	table := must(runs.ReadTable(p.path("run")))(t)
	all := map[string][2][]float64{}
	for _, name := range table.Columns {
		if name != "time" && !strings.HasPrefix(name, "time/") && !strings.HasPrefix(name, "env/") {
			steps, values := table.Series(name)
			all[name] = [2][]float64{steps, values}
		}
	}
	return all
}

// last is the last value of a figure.
func (p place) last(t *testing.T, name string) float64 {
	t.Helper()
	_, values := must(runs.ReadTable(p.path("run")))(t).Series(name)
	if len(values) == 0 {
		t.Fatalf("no figure %s", name)
	}
	return values[len(values)-1]
}

// wantFaults wants a run to have counted what has happened to it and, for all that, to
// remember the transitions of all its steps.
func (p place) wantFaults(t *testing.T, failures, lost, garbage int) {
	t.Helper()
	table := must(runs.ReadTable(p.path("run")))(t)
	for name, want := range map[string]float64{
		"env/worker_failures": float64(failures), "env/lost_steps": float64(lost), "env/garbage_messages": float64(garbage),
		"replay/transitions": float64(table.Step(len(table.Rows) - 1)),
	} {
		if _, values := table.Series(name); len(values) == 0 || values[len(values)-1] != want {
			t.Errorf("%s is %v, want %g at the end", name, values[max(0, len(values)-3):], want)
		}
	}
}

// must fails the test on an error: must(f())(t).
func must[T any](x T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}

func number[T ~int | ~int64](n T) string { return strconv.FormatInt(int64(n), 10) }
