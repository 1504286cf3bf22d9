//go:build linux

package chaos

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stein-rl/stein/runs"
	"golang.org/x/sys/unix"
)

// Ensure that a disk that is full for a while costs no training and no checkpoint that
// was written before, and that with room the run writes on as if nothing had been.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	t.Run("small disk", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.smallDisk(t, 4<<20)
		testFull(t, p, func(*process) (free func()) { return p.fillDisk(t) })
	})
	t.Run("limit on files", func(t *testing.T) { // where nobody may mount
		t.Parallel()
		testFull(t, newPlace(t), func(trainer *process) (free func()) { return limitFiles(t, trainer) })
	})
}

func testFull(t *testing.T, p place, fill func(*process) (free func())) {
	rng := dice(t)
	trainer := p.train(t, append(endless, "--eval-freq", "300")...)
	p.untilStep(t, trainer, int64(logged*(1+rng.IntN(4)))) // some columns of the metrics are not there yet
	free := fill(trainer)
	trainer.untilLogged(t, "cannot write a checkpoint; training continues", 2)
	trainer.untilLogged(t, "cannot write metrics; training continues", 1)
	saved := len(trainer.logs.named("checkpoint"))
	if saved > 0 {
		p.wantCheckpoints(t)
	}
	time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
	free()
	trainer.untilLogged(t, "checkpoint", saved+3)
	trainer.signal(t, syscall.SIGTERM)
	trainer.wantCode(t, 0)
	stopped := p.wantCheckpoints(t)
	if stopped != due(stopped.Step) {
		t.Errorf("counters %+v, want %+v", stopped, due(stopped.Step))
	}
	steps := p.more(t)
	p.resume(t, "--steps", number(steps)).wantCode(t, 0)
	if got := p.wantCheckpoints(t); got != due(steps) {
		t.Errorf("counters %+v, want %+v", got, due(steps))
	}
	p.wantMetricsWithGap(t, steps)
}

// wantMetricsWithGap wants metrics that are whole, whatever is missing from them.
func (p place) wantMetricsWithGap(t *testing.T, steps int64) {
	t.Helper()
	table := must(runs.ReadTable(p.path("run")))(t)
	inTable, _ := table.Series("time/fps")
	for name, got := range map[string][]float64{"metrics.csv": inTable, "metrics.jsonl": p.jsonSteps(t)} {
		n := len(got)
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != n || n < 12 || got[n-1] != float64(steps) {
			t.Errorf("%s has figures of the steps %v, want them in order to %d", name, got, steps)
		}
	}
}

// smallDisk mounts one over a place.
func (p place) smallDisk(t *testing.T, size int) {
	t.Helper()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+number(size), "tmpfs", p.dir).CombinedOutput()
	if err != nil {
		t.Skipf("NOT TESTED on a small disk, which takes root to mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		p.wantNothingLeft(t)
		if out, err := exec.Command("umount", p.dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", p.dir, err, out)
		}
	})
	if err := os.Mkdir(p.tmp, 0o700); err != nil {
		t.Fatal(err)
	}
}

// fillDisk takes all the room that a place's disk has left.
func (p place) fillDisk(t *testing.T) (free func()) {
	t.Helper()
	filler := must(os.Create(p.path("filler")))(t)
	defer filler.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		_, err := filler.Write(block)
		if errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(p.path("filler")); err != nil {
			t.Error(err)
		}
	}
}

// limitFiles lets a process write no file beyond its first bytes.
func limitFiles(t *testing.T, trainer *process) (free func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Prlimit(trainer.pid(), unix.RLIMIT_FSIZE, nil, &before); err != nil {
		t.Fatal(err)
	}
	set := func(soft uint64) {
		if err := unix.Prlimit(trainer.pid(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: soft, Max: before.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	set(100)
	return func() { set(before.Cur) }
}
