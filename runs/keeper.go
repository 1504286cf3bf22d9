package runs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"math"
	"syscall"
	"time"

	"github.com/stein-rl/stein/internal/tfevents"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// A Keeper records a training: its figures, its checkpoints, and what to close at the
// end.
type Keeper struct {
	training Training
	work     Work
	log      *slog.Logger
	record   recorders
	events   *tfevents.Writer // set once the records are open
	closers  []func() error

	last      Metrics  // of the training
	evaluated int64    // step of the last evaluation
	figure    *float64 // its figure, the higher the better
	best      *float64
	saved     int64 // step of the last checkpoint
	savedAt   string
}

func newKeeper(t Training, w Work) *Keeper {
	return &Keeper{training: t, work: w, log: t.Log, record: recorders{log: t.Log}, saved: -1, evaluated: -1}
}

// OnClose registers a function to call at the end of training, in last-in, first-out
// order.
func (k *Keeper) OnClose(f func() error) { k.closers = append(k.closers, f) }

func (k *Keeper) close() error {
	var all []error
	for i := len(k.closers) - 1; i >= 0; i-- {
		all = append(all, k.closers[i]())
	}
	return errors.Join(all...)
}

// open opens the files for figures, starting at the current training step.
func (k *Keeper) open(from int64) error {
	dir := k.training.Folder.Dir
	table, err := openTable(dir, from, k.log)
	if err != nil {
		return err
	}
	k.OnClose(table.Close)
	after := int64(0)
	if from > 0 {
		after = from + 1
	}
	if k.events, err = tfevents.Create(dir, after); err != nil {
		return err
	}
	k.OnClose(k.events.Close)
	k.record.all = append([]Recorder{table, board{k.events}}, k.training.Recorders...)
	if k.training.Watch != nil {
		k.record.all = append(k.record.all, k.training.Watch)
	}
	return nil
}

var _ Recorder = (*Keeper)(nil)

// Record passes figures of the training to all recorders and keeps them until the next
// call. The keeper owns m from here on.
func (k *Keeper) Record(step int64, m Metrics) error {
	k.last = m
	return k.record.Record(step, m)
}

// Picture writes an image to TensorBoard and returns it as PNG.
func (k *Keeper) Picture(step int64, name string, img image.Image) ([]byte, error) {
	var data bytes.Buffer
	if err := png.Encode(&data, img); err != nil {
		return nil, fmt.Errorf("runs: %w", err)
	}
	k.events.PNG(step, name, img.Bounds().Dx(), img.Bounds().Dy(), data.Bytes())
	return data.Bytes(), nil
}

// Evaluated records the metrics of an evaluation, and saves a checkpoint if its figure,
// larger is better, is the best so far. If best is not empty, the best figure is added to
// the metrics under that name.
func (k *Keeper) Evaluated(step int64, m Metrics, figure float64, best string) error {
	better := false
	if !math.IsNaN(figure) && !math.IsInf(figure, 0) { // a figure that is not finite cannot be the best
		k.evaluated, k.figure = step, &figure
		better = k.best == nil || figure > *k.best
	}
	if better {
		k.best = &figure
	}
	if best != "" && k.best != nil {
		m[best] = *k.best
	}
	if err := k.record.Record(step, m); err != nil {
		return err
	}
	if better {
		return k.PeriodicSave(context.Background(), step)
	}
	return nil
}

// EvaluatedAt reports whether the last evaluation was at this step.
func (k *Keeper) EvaluatedAt(step int64) bool { return k.evaluated == step }

// PeriodicSave writes a checkpoint. If that fails, it logs the error and training
// continues.
func (k *Keeper) PeriodicSave(context.Context, int64) error {
	if err := k.Save(); err != nil {
		k.log.Warn("cannot write a checkpoint; training continues", "step", k.work.Step(), "error", err.Error())
	}
	return nil
}

// Save writes a checkpoint of this step if there is none, and prunes old ones.
func (k *Keeper) Save() error {
	step := k.work.Step()
	if step == k.saved {
		return nil
	}
	started := time.Now()
	var bytes int64
	checkpoints := k.training.Folder.Checkpoints()
	path, err := checkpoint.Write(checkpoints, step, func(w *checkpoint.Writer) error {
		if k.evaluated == step {
			w.Figure(*k.figure)
		}
		err := k.work.Save(w)
		bytes = w.Size()
		return err
	})
	if err != nil {
		return err
	}
	k.saved, k.savedAt = step, path
	if f, ok := k.work.(Follower); ok {
		if err := f.Saved(step); err != nil {
			return err
		}
	}
	k.log.Debug("checkpoint", "step", step, "path", path, "bytes", bytes, "seconds", time.Since(started).Seconds())
	if _, err := checkpoint.Prune(checkpoints, k.training.Keep, 1); err != nil {
		k.log.Warn("cannot remove old checkpoints", "error", err.Error())
	}
	return nil
}

// restored records which checkpoint training resumes from.
func (k *Keeper) restored(c *checkpoint.Checkpoint) {
	k.saved, k.savedAt = c.Manifest.Step, c.Path
	if best, _, err := checkpoint.Best(k.training.Folder.Checkpoints()); err == nil {
		k.best = best.Manifest.Figure
	}
}

// newest is the checkpoint to resume from; nil: the run has none yet.
func (k *Keeper) newest() (*checkpoint.Checkpoint, error) {
	dir := k.training.Folder.Dir
	if _, ok := Unstarted(dir); ok {
		k.log.Info("no checkpoint found: the run starts from the beginning", "folder", dir)
		return nil, nil
	}
	return newest(dir, k.log)
}

// peakMemory is the peak resident memory of this process, in bytes.
func peakMemory() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return usage.Maxrss << 10 // kilobytes on Linux
}
