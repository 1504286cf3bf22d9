//go:build linux

package chaos

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hanging is an environment that hangs in its nth step, once.
func (p place) hanging(n int) []string {
	return []string{"--env", "probe_envs:probe/Probe-v0", "--set",
		fmt.Sprintf("env.kwargs={act: hang, at: %d, length: %d, end: truncated, only_in: %q}", n, n+10, p.path("hung"))}
}

// untilHung waits until it does.
func (p place) untilHung(t *testing.T, trainer *process) {
	t.Helper()
	trainer.until(t, "a hanging step", func() bool { _, err := os.Stat(p.path("hung")); return err == nil })
}

// Ensure that a worker that is killed in the midst of a step costs that step, and
// nothing else.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	p, rng := newPlace(t), dice(t)
	metrics := freeAddress(t)
	trainer := p.train(t, append(p.hanging(warmup+rng.IntN(200)), "--steps", "100000", "--metrics", metrics)...)
	victim := worker(t, trainer, 1, false)
	p.untilHung(t, trainer)
	before := inHand(t, trainer, metrics)
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.wantReplaced(t, trainer, metrics, before, "worker died: signal: killed")
	p.stopAndFinish(t, trainer)
}

// Ensure the same of one that hangs, and that it is gone then.
func TestWorkerHung(t *testing.T) {
	t.Parallel()
	p, rng := newPlace(t), dice(t)
	metrics := freeAddress(t)
	trainer := p.train(t, append(p.hanging(warmup+rng.IntN(200)), "--steps", "100000", "--metrics", metrics, "--set", "env.timeout=2s")...)
	victim := worker(t, trainer, 1, false)
	p.untilHung(t, trainer)
	before := inHand(t, trainer, metrics)
	p.wantReplaced(t, trainer, metrics, before, "no answer within 2s (env.timeout), so it was killed")
	if alive(victim) {
		t.Error("the worker that hung is still there")
	}
	p.stopAndFinish(t, trainer)
}

// inHand counts a trainer's open files and sockets, by kind, and its goroutines.
func inHand(t *testing.T, trainer *process, metrics string) map[string]int {
	t.Helper()
	now := must(scrape(metrics))(t)
	all := openFiles(t, trainer.pid())
	all["goroutines"] = int(now["go_goroutines"])
	return all
}

// wantReplaced wants a worker's replacement to be told, and the trainer to have no
// more in hand with it than with the one before.
func (p place) wantReplaced(t *testing.T, trainer *process, metrics string, before map[string]int, why string) {
	t.Helper()
	said := trainer.untilLogged(t, "worker failed, restarting it", 1)
	if got, _ := said["why"].(string); !strings.Contains(got, why) {
		t.Errorf("the log says %q, want %q", got, why)
	}
	worker(t, trainer, 2, false)
	for end := time.Now().Add(patience); ; {
		after := inHand(t, trainer, metrics)
		if reflect.DeepEqual(before, after) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("in hand after the fault %v, before %v", after, before)
		}
	}
}

// stopAndFinish wants a run that has lost one step to stop and to go on to its end.
func (p place) stopAndFinish(t *testing.T, trainer *process) {
	t.Helper()
	trainer.untilLogged(t, "checkpoint", len(trainer.logs.named("checkpoint"))+2)
	p.wantFaults(t, 1, 1, 0)
	trainer.signal(t, syscall.SIGTERM)
	trainer.wantCode(t, 0)
	p.finish(t)
}

// slowness is how long a slow worker takes for one step.
const slowness = 10 * time.Second

// Ensure that a worker that takes ten seconds for a step, within its time, changes
// nothing at all, and the same of one that answers everything twice, and of one that
// talks garbage besides: the figures are those of a run without.
func TestWorkerSlow(t *testing.T) {
	t.Parallel()
	rng := dice(t)
	at := 1 + rng.IntN(300)
	testUnharmed(t, func(n int, answer string) []string {
		if n == at {
			time.Sleep(slowness)
		}
		return []string{answer}
	})
}

func TestWorkerRepliesTwice(t *testing.T) {
	t.Parallel()
	testUnharmed(t, func(_ int, answer string) []string { return []string{answer, answer} })
}

func TestWorkerGarbage(t *testing.T) {
	t.Parallel()
	rng, before := dice(t), ""
	testUnharmed(t, func(_ int, answer string) []string {
		all := append(junk(rng, answer, before), answer)
		before = answer
		return all
	})
}

// testUnharmed trains with a worker whose answers are spoiled, and beside it without.
func testUnharmed(t *testing.T, spoil func(n int, answer string) []string) {
	calm, p := newPlace(t), newPlace(t)
	address := p.remoteWorker(t)
	undisturbed := calm.train(t, "--envs", "tcp://"+address)
	r := startRelay(t, address, spoil)
	trainer := p.train(t, "--envs", "tcp://"+r.address)
	undisturbed.wantCode(t, 0)
	trainer.wantCode(t, 0)
	p.wantDone(t, 400)
	if got, want := p.figures(t), calm.figures(t); !reflect.DeepEqual(got, want) {
		t.Errorf("figures\n%v\nwithout the fault\n%v", got, want)
	}
	if r.steps.Load() < 400 {
		t.Errorf("%d outcomes went through the relay", r.steps.Load())
	}
	sent := r.sent.Load()
	t.Logf("%d messages besides %d answers", sent, r.steps.Load())
	if dropped := p.last(t, "env/garbage_messages"); sent > 0 && dropped < float64(sent)/2 {
		t.Errorf("%g messages dropped of %d that were no answers", dropped, sent)
	}
}

// Ensure that half a message, be it cut anywhere by the worker or by the network that
// fails in its midst, costs a step and nothing else.
func TestWorkerHalfMessage(t *testing.T) {
	t.Parallel()
	t.Run("worker", func(t *testing.T) {
		t.Parallel()
		rng := dice(t)
		// One cut in its header, and one in its body: the header is whole then.
		first, second := 1+rng.IntN(150), 200+rng.IntN(100)
		var faults atomic.Int64
		testHalf(t, 2, func(p place, worker string) string {
			return startRelay(t, worker, func(n int, answer string) []string {
				switch n {
				case first:
					faults.Add(1)
					return []string{answer[:rng.IntN(16)]}
				case second:
					faults.Add(1)
					return []string{answer[:16+rng.IntN(len(answer)-16)]}
				}
				return []string{answer}
			}).address
		})
		if got := faults.Load(); got != 2 {
			t.Errorf("%d messages were cut, want 2", got)
		}
	})
	t.Run("network", func(t *testing.T) {
		t.Parallel()
		rng := dice(t)
		var c *cutter
		testHalf(t, 1, func(p place, worker string) string {
			c = startCutter(t, worker, 2000+int64(rng.IntN(8000)))
			return c.address
		})
		if !c.cut.Load() {
			t.Error("the connection was never cut")
		}
	})
}

func testHalf(t *testing.T, faults int, between func(p place, worker string) (address string)) {
	p := newPlace(t)
	trainer := p.train(t, "--envs", "tcp://"+between(p, p.remoteWorker(t)), "--set", "env.timeout=2s")
	trainer.wantCode(t, 0)
	if got := p.last(t, "env/lost_steps"); got != float64(faults) {
		t.Errorf("%g steps lost, want %d", got, faults)
	}
	p.wantDone(t, 400)
}
