package sweep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A Sweep is trials to run, and how.
type Sweep struct {
	Dir     string
	Trials  []Trial
	Jobs    int            // trials at a time
	Retries int            // of a trial that failed
	Program string         // stein; empty: the running one
	Watch   func([]Status) // told of every change and once a second; nil: nobody
}

// A State is where a trial stands.
type State string

// The states of a trial.
const (
	Waiting State = "waiting"
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed" // and not tried again
	Stopped State = "stopped"
)

// A Status is how far a trial is.
type Status struct {
	Trial
	State   State
	Attempt int
	Step    int64
	Return  float64   // of the last evaluation, or while training; NaN before the first
	Since   time.Time // when its process started
	From    int64     // step that the process started at
	Why     string    // it failed
}

// Planned lists the trials of a sweep's folder.
func Planned(dir string) ([]Trial, error) {
	p, err := readPlan(dir)
	if err == nil && len(p.Trials) == 0 {
		err = fmt.Errorf("sweep: %s is no sweep's folder: it has no %s", dir, planName)
	}
	return p.Trials, err
}

// at is a Sweep at work.
type at struct {
	Sweep
	journal *journal
	stop    context.CancelFunc

	mu     sync.Mutex
	status []Status
	broken error // of the journal
}

// Run runs all trials that are not done, Jobs at a time, and answers how they ended.
// When ctx ends, every process is told to write a checkpoint and stop. The same call
// goes on later: trials that are done are left alone, those begun are resumed from
// their newest checkpoint. The error is about the sweep; that of a trial is in its
// Status.
func (s Sweep) Run(ctx context.Context) (statuses []Status, err error) {
	if s.Jobs < 1 || s.Retries < 0 {
		return nil, fmt.Errorf("sweep: %d jobs, %d retries: want 1 or more jobs, 0 or more retries", s.Jobs, s.Retries)
	}
	if s.Program == "" {
		if s.Program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("sweep: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, logsDir), 0o755); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	lock, err := lock(s.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	w := &at{Sweep: s}
	if err := w.open(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.journal.file.Close()) }()
	ctx, w.stop = context.WithCancel(ctx)
	defer w.stop()
	w.runAll(ctx)
	return w.snapshot(), w.broken
}

// open merges the trials into the folder's plan and reads from its journal which of
// them are done.
func (w *at) open() error {
	p, err := readPlan(w.Dir)
	if err != nil {
		return err
	}
	if w.Trials, err = p.merge(w.Trials, max(1, runtime.NumCPU()/w.Jobs)); err != nil {
		return err
	}
	if err := p.write(w.Dir); err != nil {
		return err
	}
	var events []event
	if w.journal, events, err = openJournal(w.Dir); err != nil {
		return err
	}
	for _, t := range w.Trials {
		status := Status{Trial: t, State: Waiting}
		w.look(&status)
		isDone := slices.ContainsFunc(events, func(e event) bool { return e.Trial == t.Name && e.Event == done })
		if isDone && exists(filepath.Join(w.Dir, t.Name)) {
			status.State = Done
		}
		w.status = append(w.status, status)
	}
	return nil
}

func (w *at) runAll(ctx context.Context) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range w.Jobs {
		workers.Go(func() {
			for i := range next {
				w.run(ctx, i)
			}
		})
	}
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { w.watch(ended) })
	for i := range w.status {
		if w.status[i].State == Done {
			continue
		}
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	close(ended)
	watcher.Wait()
	w.tell()
}

// run brings one trial to its end, with as many attempts as it is allowed.
func (w *at) run(ctx context.Context, i int) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		var end outcome
		start, err := w.prepare(ctx, w.Trials[i])
		switch {
		case err != nil:
			end = outcome{code: 1, why: err.Error()}
		case start.complete: // its process ended, and the sweep's did before it said so
		default:
			w.change(i, func(s *Status) {
				s.State, s.Attempt, s.Since, s.From, s.Step = Running, attempt, time.Now(), start.from, start.from
			})
			what := began
			if start.from > 0 {
				what = resumed
			}
			if !w.note(event{Trial: w.Trials[i].Name, Event: what, Attempt: attempt, Step: start.from}) {
				return
			}
			end = w.train(ctx, w.Trials[i], start)
		}
		if w.ended(ctx, i, attempt, end) {
			return
		}
		select { // what failed may need a moment: a port, memory, a disk
		case <-time.After(time.Duration(attempt) * time.Second):
		case <-ctx.Done():
		}
	}
	w.change(i, func(s *Status) { s.State = Stopped })
}

// ended notes how a process ended and says whether that was the last of its trial.
func (w *at) ended(ctx context.Context, i, attempt int, end outcome) bool {
	name := w.Trials[i].Name
	w.mu.Lock()
	w.look(&w.status[i])
	step := w.status[i].Step
	w.mu.Unlock()
	switch {
	case end.code == 0 && !end.interrupted:
		w.note(event{Trial: name, Event: done, Attempt: attempt, Step: w.Trials[i].Steps})
		w.change(i, func(s *Status) { s.State, s.Step = Done, s.Steps })
		return true
	case ctx.Err() != nil:
		w.note(event{Trial: name, Event: stopped, Attempt: attempt, Step: step})
		w.change(i, func(s *Status) { s.State = Stopped })
		return true
	}
	w.note(event{Trial: name, Event: failed, Attempt: attempt, Step: step, Code: end.code, Why: end.why})
	// Code 2 is a command line or configuration that makes no sense: it won't make more.
	final := attempt > w.Retries || end.code == 2
	w.change(i, func(s *Status) {
		s.State, s.Why = Waiting, end.why
		if final {
			s.State = Failed
		}
	})
	return final
}

// note writes to the journal. A sweep that can't keep one stops.
func (w *at) note(e event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.journal.write(e); err != nil {
		w.broken = errors.Join(w.broken, err)
		w.stop()
	}
	return w.broken == nil
}

func (w *at) change(i int, by func(*Status)) {
	w.mu.Lock()
	by(&w.status[i])
	w.mu.Unlock()
	w.tell()
}

func (w *at) snapshot() []Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.status)
}

func (w *at) tell() {
	if w.Watch != nil {
		w.Watch(w.snapshot())
	}
}

// watch looks at what runs, once a second.
func (w *at) watch(ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			w.mu.Lock()
			for i := range w.status {
				if w.status[i].State == Running {
					w.look(&w.status[i])
				}
			}
			w.mu.Unlock()
			w.tell()
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
