package runs

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"github.com/stein-rl/stein/runs/checkpoint"
)

// ErrWhich is the mistake of naming a checkpoint as none is named.
var ErrWhich = errors.New("want last, best or a step")

// OpenCheckpoint opens a checkpoint of a run: last, best, or a step.
func OpenCheckpoint(dir, which string, log *slog.Logger) (*checkpoint.Checkpoint, error) {
	switch which {
	case "", "last":
		return newest(dir, log)
	case "best":
		c, skipped, err := checkpoint.Best(Checkpoints(dir))
		warnSkipped(skipped, log)
		if err != nil {
			return nil, fmt.Errorf("best of %s: %w (the best checkpoint exists after the first evaluation)", dir, err)
		}
		return c, nil
	}
	step, err := strconv.ParseInt(which, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %q: %w", which, ErrWhich)
	}
	entries, err := checkpoint.List(Checkpoints(dir))
	if err != nil {
		return nil, err
	}
	var steps []int64
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].Err == nil && entries[i].Manifest.Step == step {
			return checkpoint.Open(entries[i].Path)
		}
		steps = append(steps, entries[i].Manifest.Step)
	}
	slices.Sort(steps)
	return nil, fmt.Errorf("%s has no checkpoint of step %d; available steps: %v", dir, step, steps)
}

// newest opens the newest usable checkpoint of a run folder and logs the damaged ones
// that it skips.
func newest(dir string, log *slog.Logger) (*checkpoint.Checkpoint, error) {
	c, skipped, err := checkpoint.Latest(Checkpoints(dir))
	warnSkipped(skipped, log)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func warnSkipped(skipped []checkpoint.Skipped, log *slog.Logger) {
	for _, s := range skipped {
		log.Warn("skipping a damaged checkpoint", "path", s.Path, "error", s.Err.Error())
	}
}
