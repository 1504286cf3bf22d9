package runs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/stein-rl/stein/runs/checkpoint"
)

// A Training is a run to train in its folder, from the start or from a checkpoint.
type Training struct {
	Folder  *Folder
	Config  Settings
	Total   int64  // total number of steps
	Unit    string // name of a step, such as update
	Keep    int    // number of newest checkpoints to keep, besides the best
	Threads int    // number of compute threads, for the record

	Resume    bool
	Command   []string // as the user typed it, for the record
	Log       *slog.Logger
	Watch     Watcher    // nil: none
	Recorders []Recorder // recorders besides the folder's files and Watch
}

// A Work is the thing that is trained.
type Work interface {
	State
	// Build builds all parts and returns the backend's name. It registers what must be
	// closed with the keeper.
	Build(ctx context.Context, k *Keeper) (backend string, err error)
	// Train trains from Step to the end. After an error, including ctx's, the state is
	// that of the last good step.
	Train(ctx context.Context) error
	// Finish runs the final measurements of a completed training.
	Finish(ctx context.Context) error
}

// A State is what checkpoints store.
type State interface {
	Step() int64
	Save(w *checkpoint.Writer) error
	Restore(c *checkpoint.Checkpoint) error
}

// A Follower is a Work that is notified of each new checkpoint.
type Follower interface{ Saved(step int64) error }

// An End is the outcome of a training.
type End struct {
	Step        int64
	Interrupted bool // by the context; a checkpoint was written
	Checkpoint  string
	Best        *float64 // highest figure of the evaluations; nil: there were none
	Last        Metrics  // the last figures of the training
	AlreadyDone bool     // all steps were already done; nothing was trained
}

// Train trains until Total steps are done or ctx ends, and then saves a checkpoint of the
// last step. After any other error it saves the last good state and names the checkpoint
// in the error.
func (t Training) Train(ctx context.Context, w Work) (end End, err error) {
	k := newKeeper(t, w)
	defer func() { err = errors.Join(err, k.close()) }()
	var from *checkpoint.Checkpoint
	if t.Resume {
		if from, err = k.newest(); err != nil {
			return end, err
		}
	}
	if from != nil && from.Manifest.Step >= t.Total {
		return t.nothingLeft(from)
	}
	if err := t.start(ctx, w, k, from); err != nil {
		if short := Brief(err); short.Error() != err.Error() {
			t.Log.Error("training could not start", "error", err.Error())
		}
		return end, Brief(err)
	}
	err = w.Train(ctx)
	end = End{Step: w.Step(), Interrupted: err != nil && ctx.Err() != nil, Best: k.best, Last: k.last}
	t.logEnd(end)
	if saveErr := k.Save(); saveErr != nil {
		return end, errors.Join(Brief(err), saveErr)
	}
	end.Checkpoint = k.savedAt
	switch {
	case end.Interrupted:
		return end, nil
	case err != nil:
		t.Log.Error("training stopped", t.Unit, end.Step, "checkpoint", end.Checkpoint, "error", err.Error())
		return end, fmt.Errorf("%w; the last good state, of %s %d, is in %s", Brief(err), t.Unit, end.Step, end.Checkpoint)
	}
	if err := w.Finish(ctx); err != nil && ctx.Err() == nil { // the training itself succeeded
		return end, Brief(err)
	}
	end.Best, end.Checkpoint = k.best, k.savedAt
	return end, nil
}

// nothingLeft handles a training whose steps are already done.
func (t Training) nothingLeft(at *checkpoint.Checkpoint) (End, error) {
	step := at.Manifest.Step
	if step > t.Total {
		return End{}, fmt.Errorf("%s already has %d %ss, more than the requested %d: set a larger --%ss to continue", t.Folder.Dir, step, t.Unit, t.Total, t.Unit)
	}
	t.Log.Info("all steps are already done", "folder", t.Folder.Dir, t.Unit, step, "of", t.Total)
	return End{Step: step, Checkpoint: at.Path, AlreadyDone: true}, nil
}

// start builds the work, restores a checkpoint if there is one, and opens the records.
func (t Training) start(ctx context.Context, w Work, k *Keeper, from *checkpoint.Checkpoint) error {
	backend, err := w.Build(ctx, k)
	if err != nil {
		return err
	}
	if from != nil {
		if err := w.Restore(from); err != nil {
			return err
		}
		k.restored(from)
	}
	session := Session{
		Command: t.Command, Started: time.Now(), FromStep: w.Step(), Backend: backend, Threads: t.Threads, Build: ThisBuild(),
	}
	if err := errors.Join(t.Folder.SaveConfig(t.Config), t.Folder.Begin(session)); err != nil {
		return err
	}
	if err := k.open(w.Step()); err != nil {
		return err
	}
	if t.Watch != nil {
		t.Watch.Start(w.Step(), t.Total)
	}
	return nil
}

// logEnd logs the result of the training and how its time was spent.
func (t Training) logEnd(end End) {
	attrs := []any{t.Unit, end.Step, "of", t.Total, "peak_rss_mb", peakMemory() >> 20}
	var times []string
	for name := range end.Last {
		if strings.HasPrefix(name, "time/") {
			times = append(times, name)
		}
	}
	slices.Sort(times)
	for _, name := range times {
		attrs = append(attrs, name, math.Round(end.Last[name]*1000)/1000)
	}
	t.Log.Info("trained", attrs...)
}

// Brief is the first line of an error. Tracebacks and a worker's last lines are only
// logged.
func Brief(err error) error {
	if err == nil {
		return nil
	}
	return &briefError{err}
}

type briefError struct{ err error }

func (e *briefError) Error() string {
	first, _, _ := strings.Cut(e.err.Error(), "\n")
	return first
}

func (e *briefError) Unwrap() error { return e.err }
