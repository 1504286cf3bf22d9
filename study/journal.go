package study

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/stein-rl/stein/internal/regular"
	"github.com/stein-rl/stein/internal/settings"
)

// The files of a sweep's folder, besides a folder for each trial.
const (
	planName    = "sweep.json"    // the trials
	journalName = "journal.jsonl" // one event per line
	logsDir     = "logs"          // stderr of each trial's processes
	lockName    = ".lock"
)

// The events of a trial.
const (
	began   = "began"   // a process started to train it
	resumed = "resumed" // a process resumed it
	done    = "done"
	failed  = "failed"  // its process ended with an error
	stopped = "stopped" // its process was stopped and left a checkpoint
	lost    = "lost"    // the machine of its process was lost
	early   = "early"   // a Source ended it before its last step
)

// An event is a line of the journal.
type event struct {
	Time    time.Time `json:"time"`
	Trial   string    `json:"trial"`
	Event   string    `json:"event"`
	Attempt int       `json:"attempt,omitempty"`
	Step    int64     `json:"step,omitempty"`
	Code    int       `json:"code,omitempty"`
	Node    string    `json:"node,omitempty"` // machine it runs on; empty: this one
	Why     string    `json:"why,omitempty"`
}

// A journal is a file of appended events. Each event is on disk before the sweep acts on
// it.
type journal struct{ file *os.File }

// openJournal reads the events and opens the file for appending. It drops a last line
// that was cut off by a crash.
func openJournal(dir string) (*journal, []event, error) {
	path := filepath.Join(dir, journalName)
	data, err := regular.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("sweep: %w", err)
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	var events []event
	for line := range bytes.Lines(whole) {
		var e event
		if err := settings.FromJSON(line, &e); err != nil {
			return nil, nil, fmt.Errorf("sweep: %s, line %d: %w; remove that line, or the file: finished trials are also known by their run folders", path, len(events)+1, err)
		}
		events = append(events, e)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("sweep: %w", err)
	}
	if err := f.Truncate(int64(len(whole))); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("sweep: %w", err), f.Close())
	}
	if _, err := f.Seek(0, 2); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("sweep: %w", err), f.Close())
	}
	return &journal{f}, events, nil
}

func (j *journal) write(e event) error {
	e.Time = time.Now().UTC()
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("sweep: journal: %w", err)
	}
	return nil
}

// plan is sweep.json.
type plan struct {
	Version int     `json:"version"`
	Trials  []Trial `json:"trials"`
}

const planVersion = 1

// readPlan returns an empty plan if the file does not exist.
func readPlan(dir string) (plan, error) {
	p := plan{Version: planVersion}
	path := filepath.Join(dir, planName)
	data, err := regular.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = settings.FromJSON(data, &p)
	}
	if err != nil {
		return p, fmt.Errorf("sweep: %s: %w; remove it, and the sweep's own command makes it again", path, err)
	}
	if p.Version != planVersion {
		return p, fmt.Errorf("sweep: %s has version %d, this stein reads version %d", path, p.Version, planVersion)
	}
	return p, nil
}

func (p plan) write(dir string) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	temp := filepath.Join(dir, "."+planName)
	if err := os.WriteFile(temp, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(dir, planName)); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

// merge adds trials to the plan and returns them with their planned threads. A trial
// whose configuration differs from the plan is an error: its run would mix two
// configurations.
func (p *plan) merge(trials []Trial, threads int) ([]Trial, error) {
	byName := map[string]Trial{}
	for _, t := range p.Trials {
		byName[t.Name] = t
	}
	var merged []Trial
	for _, t := range trials {
		old, ok := byName[t.Name]
		if ok && old.Sum != t.Sum {
			return nil, fmt.Errorf("sweep: trial %s was planned with another configuration: choose another --out, or use the original settings (%v)", t.Name, old.Sets)
		}
		if ok {
			t = old
		} else {
			if t.Threads == 0 {
				t.Threads = threads
			}
			p.Trials = append(p.Trials, t)
		}
		merged = append(merged, t)
	}
	return merged, nil
}

// lock locks a sweep's folder against a second sweep.
func lock(dir string) (*flock.Flock, error) {
	l := flock.New(filepath.Join(dir, lockName))
	ok, err := false, regular.Replaceable(l.Path())
	if err == nil {
		ok, err = l.TryLock()
	}
	if err != nil {
		return nil, fmt.Errorf("sweep: locking %s: %w", dir, err)
	}
	if !ok {
		return nil, fmt.Errorf("sweep: %s is in use by another process", dir)
	}
	return l, nil
}
