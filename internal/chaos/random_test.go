//go:build linux

package chaos

import (
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A patient is a run to which things happen.
type patient struct {
	place
	*testing.T
	rng     *rand.Rand
	trainer *process
	gaps    bool // some metrics could not be written
}

// accidents are what happens. Each ends when the run goes on.
var accidents = map[string]func(p *patient){
	"a worker is killed":           (*patient).killWorker,
	"a worker hangs":               (*patient).hangWorker,
	"a worker drags":               (*patient).dragWorker,
	"the trainer is killed":        (*patient).killTrainer,
	"the trainer is stopped":       (*patient).stopTrainer,
	"the trainer is stopped twice": (*patient).stopTrainerTwice,
	"the clock jumps":              (*patient).jump,
	"the disk is full":             (*patient).fill,
}

// Ensure that a run to which one thing happens after the other, drawn at random, comes
// to its end with all that it should have. make chaos has many rounds of it.
func TestRandom(t *testing.T) {
	t.Parallel()
	p := &patient{place: newPlace(t), T: t, rng: dice(t)}
	p.trainer = p.train(t, append(endless, "--eval-freq", "500", "--set", "env.timeout=2s")...)
	p.trainer.untilLogged(t, "checkpoint", 1)
	names := slices.Sorted(maps.Keys(accidents))
	for round := range *rounds {
		name := names[p.rng.IntN(len(names))]
		t.Logf("round %d, step %d: %s", round, p.step(), name)
		time.Sleep(time.Duration(p.rng.IntN(300)) * time.Millisecond)
		accidents[name](p)
		p.goesOn(name)
		if t.Failed() {
			t.Fatalf("after round %d: %s; -seed %d", round, name, *seedFlag)
		}
	}
	p.trainer.signal(t, syscall.SIGTERM)
	p.trainer.wantCode(t, 0)
	steps := p.more(t)
	p.resume(t, "--steps", number(steps)).wantCode(t, 0)
	if got := p.wantCheckpoints(t); got != due(steps) {
		t.Errorf("counters %+v, want %+v", got, due(steps))
	}
	if p.gaps {
		p.wantMetricsWithGap(t, steps)
	} else {
		p.wantDone(t, steps)
	}
}

// goesOn wants another checkpoint with the counters that are due, and the processes
// that belong to a run and no others.
func (p *patient) goesOn(after string) {
	p.Helper()
	written := len(p.trainer.logs.named("checkpoint"))
	p.trainer.untilLogged(p.T, "checkpoint", written+2)
	said := p.trainer.logs.named("checkpoint")
	if got := p.newestWhileWritten(); got != due(got.Step) || got.Step < int64(said[written]["step"].(float64)) {
		p.Errorf("counters %+v after %s, want %+v", got, after, due(got.Step))
	}
	var now []int
	p.trainer.until(p.T, "a trainer and three workers", func() bool { now = p.processes(); return len(now) == 4 })
}

// newestWhileWritten is newest of a run that goes on, which may remove a checkpoint
// while it is read.
func (p *patient) newestWhileWritten() counters {
	p.Helper()
	p.trainer.signal(p.T, syscall.SIGSTOP)
	defer p.trainer.signal(p.T, syscall.SIGCONT)
	time.Sleep(10 * time.Millisecond)
	return p.newest(p.T)
}

// victim is one of the run's workers.
func (p *patient) victim() int {
	p.Helper()
	var workers []int
	p.trainer.until(p.T, "three workers", func() bool {
		workers = slices.DeleteFunc(p.processes(), func(pid int) bool { return pid == p.trainer.pid() })
		return len(workers) == 3
	})
	return workers[p.rng.IntN(len(workers))]
}

// replaced counts the replacements of workers so far.
func (p *patient) replaced() int { return len(p.trainer.logs.named("worker failed, restarting it")) }

func (p *patient) killWorker() {
	before := p.replaced()
	p.send(p.victim(), syscall.SIGKILL)
	p.trainer.untilLogged(p.T, "worker failed, restarting it", before+1)
}

func (p *patient) hangWorker() {
	before := p.replaced()
	p.send(p.victim(), syscall.SIGSTOP)
	p.trainer.untilLogged(p.T, "worker failed, restarting it", before+1)
}

func (p *patient) dragWorker() {
	victim := p.victim()
	for range 5 {
		p.send(victim, syscall.SIGSTOP)
		time.Sleep(time.Duration(p.rng.IntN(100)) * time.Millisecond)
		p.send(victim, syscall.SIGCONT)
	}
}

func (p *patient) killTrainer() {
	p.kill(p.T, p.trainer)
	p.trainer = p.resume(p.T)
}

func (p *patient) stopTrainer() {
	p.trainer.signal(p.T, syscall.SIGTERM)
	p.trainer.wantCode(p.T, 0)
	p.wantCheckpoints(p.T)
	p.trainer = p.resume(p.T)
}

func (p *patient) stopTrainerTwice() {
	p.trainer.signal(p.T, syscall.SIGTERM)
	time.Sleep(time.Duration(p.rng.IntN(20)) * time.Millisecond)
	p.trainer.cmd.Process.Signal(syscall.SIGTERM) // it may be gone by now
	<-p.trainer.done
	p.wantNoProcess(p.T)
	p.trainer = p.resume(p.T)
}

func (p *patient) jump() {
	off := time.Duration(p.rng.IntN(200)-100) * time.Hour
	p.Logf("by %v", off)
	for _, pid := range p.processes() {
		setClock(p.T, pid, off)
	}
}

func (p *patient) fill() {
	p.gaps = true
	failed := len(p.trainer.logs.named("cannot write a checkpoint; training continues"))
	free := limitFiles(p.T, p.trainer)
	p.trainer.untilLogged(p.T, "cannot write a checkpoint; training continues", failed+1)
	free()
}

func (p *patient) send(pid int, s syscall.Signal) {
	p.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		p.Fatalf("signal %v to worker %d: %v", s, pid, err)
	}
}
