package experiments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/internal/tfevents"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// keeper keeps the record of a training, whatever is trained: its folder's figures,
// its checkpoints, and what there is to close.
type keeper struct {
	folder  *Folder
	log     *slog.Logger
	record  *recorders
	events  *tfevents.Writer // once the records are open
	closers []func() error
	keep    int // newest checkpoints kept, besides the best

	step    func() int64                     // where training is
	state   func(w *checkpoint.Writer) error // writes all that it needs to go on
	written func(step int64) error           // follows a checkpoint; nil: nothing does

	evaluated int64    // step of the last evaluation
	figure    *float64 // what it came to, the higher the better
	best      *float64
	saved     int64 // step of the last checkpoint
	savedAt   string
}

func newKeeper(folder *Folder, log *slog.Logger, keep int) keeper {
	return keeper{folder: folder, log: log, record: &recorders{log: log}, keep: keep, saved: -1, evaluated: -1}
}

// close closes all, the last one first.
func (k *keeper) close() error {
	var all []error
	for i := len(k.closers) - 1; i >= 0; i-- {
		all = append(all, k.closers[i]())
	}
	return errors.Join(all...)
}

// begin notes in the folder that this process trains there from a step on.
func (k *keeper) begin(cfg Settings, e Engine, choice engine.Choice, command []string, from int64) error {
	s := Session{
		Command: command, Started: time.Now(), FromStep: from,
		Backend: choice.Config, Threads: e.Threads, Build: ThisBuild(),
	}
	return errors.Join(k.folder.SaveConfig(cfg), k.folder.Begin(s))
}

// openRecords opens what figures are written to, from the step that training is at.
func (k *keeper) openRecords(from int64, more ...agents.Recorder) error {
	table, err := openTable(k.folder.Dir, from)
	if err != nil {
		return err
	}
	k.closers = append(k.closers, table.Close)
	after := int64(0)
	if from > 0 {
		after = from + 1
	}
	events, err := tfevents.Create(k.folder.Dir, after)
	if err != nil {
		return err
	}
	k.events, k.closers = events, append(k.closers, events.Close)
	k.record.all = append(append(k.record.all, table, board{events}), more...)
	return nil
}

// judged takes in what an evaluation came to, and says whether it is the best so far.
func (k *keeper) judged(step int64, figure float64) (better bool) {
	k.evaluated, k.figure = step, &figure
	better = k.best == nil || figure > *k.best
	if better {
		k.best = &figure
	}
	return better
}

// periodicSave writes a checkpoint. One that can't be written costs no training.
func (k *keeper) periodicSave(context.Context, int64) error {
	if err := k.save(); err != nil {
		k.log.Warn("no checkpoint was written; training goes on", "step", k.step(), "error", err.Error())
	}
	return nil
}

// save writes a checkpoint of this step, unless there is one, and removes those
// that nobody needs.
func (k *keeper) save() error {
	step := k.step()
	if step == k.saved {
		return nil
	}
	started := time.Now()
	var bytes int64
	path, err := checkpoint.Write(k.folder.Checkpoints(), step, func(w *checkpoint.Writer) error {
		if k.evaluated == step {
			w.Figure(*k.figure)
		}
		err := k.state(w)
		bytes = w.Size()
		return err
	})
	if err != nil {
		return err
	}
	k.saved, k.savedAt = step, path
	if k.written != nil {
		if err := k.written(step); err != nil {
			return err
		}
	}
	k.log.Debug("checkpoint", "step", step, "path", path, "bytes", bytes, "seconds", time.Since(started).Seconds())
	if _, err := checkpoint.Prune(k.folder.Checkpoints(), k.keep, 1); err != nil {
		k.log.Warn("old checkpoints were not removed", "error", err.Error())
	}
	return nil
}

// restored notes which checkpoint training goes on from.
func (k *keeper) restored(c *checkpoint.Checkpoint) {
	k.saved, k.savedAt = c.Manifest.Step, c.Path
	if best, _, err := checkpoint.Best(k.folder.Checkpoints()); err == nil {
		k.best = best.Manifest.Figure
	}
}

// newest is the checkpoint to go on from, when there is a way to go.
func (k *keeper) newest(steps int64) (*checkpoint.Checkpoint, error) {
	c, err := newest(k.folder.Dir, k.log)
	if err == nil && c.Manifest.Step >= steps {
		err = fmt.Errorf("%s has its %d steps: name more with --steps to go on", k.folder.Dir, c.Manifest.Step)
	}
	return c, err
}

// newest opens the newest usable checkpoint of a run folder and says which damaged
// ones it passed over.
func newest(dir string, log *slog.Logger) (*checkpoint.Checkpoint, error) {
	c, skipped, err := checkpoint.Latest(CheckpointsOf(dir))
	warnSkipped(skipped, log)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func warnSkipped(skipped []checkpoint.Skipped, log *slog.Logger) {
	for _, s := range skipped {
		log.Warn("a damaged checkpoint is passed over", "path", s.Path, "error", s.Err.Error())
	}
}

// peakMemory is the most that this process has had in memory, in bytes.
func peakMemory() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return usage.Maxrss << 10 // kilobytes on Linux
}
