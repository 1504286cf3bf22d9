// Package figures computes the figures of a training loop: means between two records, and
// how the time is spent.
package figures

import (
	"syscall"
	"time"
)

// updates is the only figure that is a count, the total of updates. The last value is
// recorded, not the mean.
const updates = "train/n_updates"

// Averages collects the figures of updates between two records. The zero value is empty.
type Averages struct {
	of map[string]average
}

// An average covers only the updates that report the figure: not every update trains the
// policy.
type average struct {
	sum   float64
	count int
}

// Add adds the figures of one update.
func (a *Averages) Add(m map[string]float64) {
	if a.of == nil {
		a.of = map[string]average{}
	}
	for name, x := range m {
		if name == updates {
			a.of[name] = average{x, 1}
			continue
		}
		so := a.of[name]
		a.of[name] = average{so.sum + x, so.count + 1}
	}
}

// Take writes the means and the count of updates to m, and resets the averages.
func (a *Averages) Take(m map[string]float64) {
	for name, x := range a.of {
		m[name] = x.sum / float64(x.count)
	}
	*a = Averages{}
}

// A Clock measures how a loop's time is spent.
type Clock struct {
	started time.Time
	from    int64 // step at which it was started
	paused  time.Duration
	phases  []string
	spent   map[string]time.Duration
	cpu     time.Duration // of the process when the clock was started
}

// NewClock starts a clock at a step of a loop with the given phases.
func NewClock(step int64, phases ...string) Clock {
	return Clock{started: time.Now(), from: step, phases: phases, spent: map[string]time.Duration{}, cpu: processorTime()}
}

// Phase starts a phase; calling stop ends it.
func (c *Clock) Phase(name string) (stop func()) {
	start := time.Now()
	return func() { c.spent[name] += time.Since(start) }
}

// Pause stops the clock; calling resume restarts it.
func (c *Clock) Pause() (resume func()) {
	start := time.Now()
	return func() { c.paused += time.Since(start) }
}

// Metrics are the speed and the fraction of time of each phase since the start, excluding
// pauses.
func (c *Clock) Metrics(step int64) map[string]float64 {
	total := time.Since(c.started) - c.paused
	m := map[string]float64{
		"time/fps":          float64(step-c.from) / total.Seconds(),
		"time/time_elapsed": (total + c.paused).Seconds(),
		"time/cpu":          (processorTime() - c.cpu).Seconds(),
	}
	for _, name := range c.phases {
		m["time/"+name] = c.spent[name].Seconds() / total.Seconds()
	}
	return m
}

// processorTime is what all threads of this process have used, in user and system mode.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
