package study

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A Sweep runs trials.
type Sweep struct {
	Dir      string
	Trials   []Trial
	Source   Source // source of further trials; nil: none
	Jobs     int    // trials at a time
	Threads  int    // of a trial whose configuration sets none; 0: this machine's divided by Jobs
	Retries  int    // of a trial that failed
	On       Executor
	Commands Commands
	Watch    func([]Status) // called on every change and once a second; may be nil
}

// An Executor runs the processes of trials.
type Executor interface {
	// Fetch updates the local run folder of a trial that ran elsewhere.
	Fetch(ctx context.Context, trial string) error
	// Train runs a process to its end. It calls started when the process begins and kills
	// the process if started fails. When ctx ends, Train tells the process to write a
	// checkpoint and stop. The error reports a process that could not be run.
	Train(ctx context.Context, j Job, started func(node string) error) (End, error)
	// Dying is how long the run folder of a lost process may stay locked.
	Dying() time.Duration
}

// Commands build the command line of a trial's process. They use RunFolder and ConfigFile
// as placeholders for values that the Executor fills in.
type Commands interface {
	Begin(t Trial) []string
	Resume(t Trial) []string
}

// A Job is a process to run.
type Job struct {
	Trial
	Args []string // arguments of stein, with the placeholders RunFolder and ConfigFile
}

// Placeholders that an Executor replaces.
const (
	RunFolder  = "{run}"
	ConfigFile = "{config}" // the trial's configuration: a name, or a file
)

// An End is how a process ended.
type End struct {
	Code           int
	Stdout, Stderr string // only the end of Stderr
	Lost           bool   // the machine was lost
}

// A Source proposes trials while others run.
type Source interface {
	// Next returns the next trial, or false if there is none. It is called when a job is
	// free.
	Next(ctx context.Context) (Trial, bool, error)
	// Look receives the progress of a running trial and reports whether it may continue.
	Look(ctx context.Context, s Status) (bool, error)
	// Ended is called for a trial that is Done, Failed or Early.
	Ended(ctx context.Context, s Status) error
}

// A State is the state of a trial.
type State string

// The states of a trial.
const (
	Waiting State = "waiting"
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed" // and not retried
	Stopped State = "stopped"
	Early   State = "early" // ended before its last step
)

// A Status is the progress of a trial.
type Status struct {
	Trial
	State   State
	Attempt int
	Step    int64
	Figure  float64   // of the last evaluation: return or distance; else return while training; NaN before the first
	Since   time.Time // when its process started
	From    int64     // step that the process started at
	Node    string    // machine it runs on; empty: this one
	Why     string    // why it failed
}

// Planned lists the trials of a sweep's folder.
func Planned(dir string) ([]Trial, error) {
	p, err := readPlan(dir)
	if err == nil && len(p.Trials) == 0 {
		err = fmt.Errorf("sweep: %s is not a sweep's folder: it has no %s", dir, planName)
	}
	return p.Trials, err
}

// at is a running Sweep.
type at struct {
	Sweep
	plan    plan
	journal *journal
	stop    context.CancelFunc

	taking sync.Mutex
	taken  int // trials that are done or started

	mu     sync.Mutex
	status []Status
	ends   map[int]context.CancelCauseFunc // cancels running trials
	broken error                           // error of the journal or the Source
}

// errEarly is the cancel cause of a trial that a Source ended.
var errEarly = errors.New("seen enough")

// Run runs all trials that are not done, Jobs at a time, and returns their statuses. When
// ctx ends, it tells every process to write a checkpoint and stop. Run can be called
// again to continue: it skips trials that are done and resumes started ones from their
// newest checkpoint. The error is the sweep's; a trial's error is in its Status.
func (s Sweep) Run(ctx context.Context) (statuses []Status, err error) {
	if s.Jobs < 1 || s.Retries < 0 {
		return nil, fmt.Errorf("sweep: %d jobs, %d retries: want at least 1 job and 0 retries", s.Jobs, s.Retries)
	}
	if s.On == nil {
		if s.On, err = Here(s.Dir); err != nil {
			return nil, err
		}
	}
	if s.Threads == 0 {
		s.Threads = max(1, runtime.NumCPU()/s.Jobs)
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, logsDir), 0o755); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	lock, err := lock(s.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	w := &at{Sweep: s, ends: map[int]context.CancelCauseFunc{}}
	if err := w.open(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.journal.file.Close()) }()
	ctx, w.stop = context.WithCancel(ctx)
	defer w.stop()
	w.runAll(ctx)
	return w.snapshot(), w.broken
}

// open merges the trials into the folder's plan and reads from its journal which are
// done.
func (w *at) open() (err error) {
	if w.plan, err = readPlan(w.Dir); err != nil {
		return err
	}
	trials, err := w.plan.merge(w.Trials, w.Threads)
	if err != nil {
		return err
	}
	if err := w.plan.write(w.Dir); err != nil {
		return err
	}
	var events []event
	if w.journal, events, err = openJournal(w.Dir); err != nil {
		return err
	}
	for _, t := range trials {
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
	var workers sync.WaitGroup
	for range w.Jobs {
		workers.Go(func() {
			for i, ok := w.take(ctx); ok; i, ok = w.take(ctx) {
				w.run(ctx, i)
			}
		})
	}
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { w.watch(ctx, ended) })
	workers.Wait()
	close(ended)
	watcher.Wait()
	w.tell()
}

// take returns the next trial that is not done.
func (w *at) take(ctx context.Context) (i int, ok bool) {
	w.taking.Lock()
	defer w.taking.Unlock()
	for all := w.snapshot(); ctx.Err() == nil && w.taken < len(all); {
		w.taken++
		if all[w.taken-1].State != Done {
			return w.taken - 1, true
		}
	}
	if w.Source == nil || ctx.Err() != nil {
		return 0, false
	}
	t, ok, err := w.Source.Next(ctx)
	if err == nil && ok {
		var merged []Trial
		if merged, err = w.plan.merge([]Trial{t}, w.Threads); err == nil {
			t = merged[0]
			err = w.plan.write(w.Dir)
		}
	}
	if err != nil || !ok {
		w.fail(ctx, err)
		return 0, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = append(w.status, Status{Trial: t, State: Waiting, Figure: math.NaN()})
	w.taken++
	return len(w.status) - 1, true
}

// fail stops the sweep because of an error that is not a trial's.
func (w *at) fail(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = errors.Join(w.broken, err)
	w.stop()
}

// run runs one trial to its end, with retries.
func (w *at) run(ctx context.Context, i int) {
	failures, from, wasLost := 0, int64(0), false
	for attempt := 1; ctx.Err() == nil; attempt++ {
		mine, end := context.WithCancelCause(ctx)
		w.mu.Lock()
		w.ends[i] = end
		w.mu.Unlock()
		start, how := w.attempt(mine, i, attempt)
		seenEnough := errors.Is(context.Cause(mine), errEarly)
		end(nil)
		if wasLost && start.from > from {
			failures-- // lost machines do not count if the trial makes progress
		}
		failures, from, wasLost = failures+1, start.from, how.lost
		if w.ended(ctx, i, attempt, how, failures > w.Retries, seenEnough) {
			w.report(ctx, i)
			return
		}
		select { // give a port, memory or disk time to become free
		case <-time.After(time.Duration(failures) * time.Second):
		case <-ctx.Done():
		}
	}
	w.change(i, func(s *Status) { s.State = Stopped })
}

// attempt runs one process of a trial to its end.
func (w *at) attempt(ctx context.Context, i, attempt int) (start, outcome) {
	trial := w.trial(i)
	start, err := w.prepare(ctx, trial)
	if err != nil {
		return start, outcome{code: 1, why: err.Error()}
	}
	if start.complete { // the trial is complete, but the journal does not say so yet
		return start, outcome{}
	}
	return start, w.train(ctx, trial, start, func(node string) error {
		w.change(i, func(s *Status) {
			s.State, s.Attempt, s.Since, s.From, s.Step, s.Node = Running, attempt, time.Now(), start.from, start.from, node
		})
		what := began
		if start.from > 0 {
			what = resumed
		}
		return w.note(event{Trial: trial.Name, Event: what, Attempt: attempt, Step: start.from, Node: node})
	})
}

// ended records how a process ended and reports whether the trial is over.
func (w *at) ended(ctx context.Context, i, attempt int, end outcome, tooOften, seenEnough bool) bool {
	trial := w.trial(i)
	w.mu.Lock()
	w.look(&w.status[i])
	step := w.status[i].Step
	w.mu.Unlock()
	e := event{Trial: trial.Name, Attempt: attempt, Step: step}
	switch {
	case end.code == 0 && !end.interrupted:
		if e.Event = done; !end.diverged {
			e.Step = trial.Steps
		}
		e.Why = end.why
		_ = w.note(e) // without a journal the sweep stops
		w.change(i, func(s *Status) { s.State, s.Step, s.Why = Done, e.Step, end.why })
		return true
	case ctx.Err() != nil:
		e.Event = stopped
		_ = w.note(e) // without a journal the sweep stops
		w.change(i, func(s *Status) { s.State = Stopped })
		return true
	case seenEnough:
		e.Event = early
		_ = w.note(e) // without a journal the sweep stops
		w.change(i, func(s *Status) { s.State = Early })
		return true
	}
	e.Event, e.Code, e.Why = failed, end.code, end.why
	if end.lost {
		e.Event = lost
	}
	_ = w.note(e) // without a journal the sweep stops
	// Code 2 is a bad command line or configuration: retrying does not help.
	final := tooOften || end.code == 2
	w.change(i, func(s *Status) {
		s.State, s.Why = Waiting, end.why
		if final {
			s.State = Failed
		}
	})
	return final
}

// report tells the Source how a trial ended.
func (w *at) report(ctx context.Context, i int) {
	status := w.snapshot()[i]
	if w.Source != nil && status.State != Stopped {
		w.fail(ctx, w.Source.Ended(ctx, status))
	}
}

// note writes to the journal. If that fails, the sweep stops.
func (w *at) note(e event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.journal.write(e); err != nil {
		w.broken = errors.Join(w.broken, err)
		w.stop()
	}
	return w.broken
}

func (w *at) trial(i int) Trial {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status[i].Trial
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

// watch updates the running trials once a second.
func (w *at) watch(ctx context.Context, ended <-chan struct{}) {
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
			w.judge(ctx)
		}
	}
}

// judge asks the Source which running trials may continue.
func (w *at) judge(ctx context.Context) {
	if w.Source == nil {
		return
	}
	for i, s := range w.snapshot() {
		if s.State != Running || ctx.Err() != nil {
			continue
		}
		goOn, err := w.Source.Look(ctx, s)
		w.fail(ctx, err)
		if err == nil && !goOn {
			w.mu.Lock()
			w.ends[i](errEarly)
			w.mu.Unlock()
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
