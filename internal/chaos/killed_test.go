//go:build linux

package chaos

import (
	"github.com/stein-rl/stein/runs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// endless is a run that a test ends.
var endless = []string{"--steps", "1000000", "--workers", "2"}

// Ensure that a trainer that is killed while it trains loses nothing that it had
// called saved, leaves no worker, and goes on to the same counters.
func TestTrainerKilledTraining(t *testing.T) {
	t.Parallel()
	p, rng := newPlace(t), dice(t)
	trainer := p.train(t, endless...)
	p.untilStep(t, trainer, int64(100+rng.IntN(2000)))
	p.kill(t, trainer)
	p.finish(t)
}

// Ensure the same in the midst of writing a checkpoint, twice in that of one that
// was begun: what was begun is never taken for one, and is cleared away.
func TestTrainerKilledWritingCheckpoint(t *testing.T) {
	t.Parallel()
	p, rng := newPlace(t), dice(t)
	trainer, torn := p.train(t, append(endless, "--save-freq", "1")...), 0
	for tries := 1; ; tries++ {
		trainer.untilLogged(t, "checkpoint", 3)
		time.Sleep(time.Duration(rng.IntN(30_000)) * time.Microsecond)
		p.kill(t, trainer)
		for _, name := range p.checkpoints(t) {
			if strings.HasPrefix(name, ".tmp-step") {
				torn++
			}
		}
		if torn >= 2 {
			break
		}
		if tries == 15 {
			t.Fatalf("killed %d times, %d of them in the midst of a checkpoint", tries, torn)
		}
		trainer = p.resume(t)
	}
	p.finish(t)
}

// checkpoints are the names in the folder of checkpoints.
func (p place) checkpoints(t *testing.T) (names []string) {
	t.Helper()
	for _, f := range must(os.ReadDir(runs.Checkpoints(p.path("run"))))(t) {
		names = append(names, f.Name())
	}
	return names
}

// Ensure the same in the midst of an evaluation, even with a worker that cannot
// even be asked to go.
func TestTrainerKilledEvaluating(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	trainer := p.train(t, append(endless, "--eval-freq", "100")...)
	trainer.untilLogged(t, "checkpoint", 1)
	if err := syscall.Kill(worker(t, trainer, 1, true), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var at int64
	since := time.Now()
	trainer.until(t, "an evaluation that takes its time", func() bool {
		if now := p.step(); now != at {
			at, since = now, time.Now()
		}
		return at > 0 && at%100 == 0 && time.Since(since) > 500*time.Millisecond
	})
	p.kill(t, trainer)
	p.finish(t)
}

// kill kills a trainer, and wants its workers to end and its checkpoints to be there.
func (p place) kill(t *testing.T, trainer *process) {
	t.Helper()
	trainer.kill(t)
	p.wantNoProcess(t)
	if said := trainer.logs.named("checkpoint"); len(said) > 0 {
		last := int64(said[len(said)-1]["step"].(float64))
		if got := p.newest(t); got.Step < last || got != due(got.Step) {
			t.Errorf("the newest checkpoint has counters %+v; one of step %d was written", got, last)
		}
	}
}

// finish resumes a run, for some steps more than its newest checkpoint has, and wants
// all of it.
func (p place) finish(t *testing.T) {
	t.Helper()
	steps := p.more(t)
	p.resume(t, "--steps", number(steps)).wantCode(t, 0)
	p.wantDone(t, steps)
}

// more is a number of steps a little beyond the newest checkpoint.
func (p place) more(t *testing.T) int64 {
	t.Helper()
	return (p.newest(t).Step/logged + 10) * logged
}
