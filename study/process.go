package study

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// A start says how a trial's process begins.
type start struct {
	args     []string
	from     int64 // step
	complete bool  // there is nothing to do
}

// An outcome is what an End means for the trial.
type outcome struct {
	code        int
	interrupted bool
	diverged    bool // and so ended before its last step
	lost        bool
	why         string
}

// prepare looks at what there is of a trial: nothing, a run to continue, or one that
// has all its steps. A run without a usable checkpoint has nothing to continue from,
// and is removed.
func (w *at) prepare(ctx context.Context, t Trial) (start, error) {
	dir := filepath.Join(w.Dir, t.Name)
	s := start{args: w.Commands.Begin(t)}
	if err := w.On.Fetch(ctx, t.Name); err != nil {
		return s, err
	}
	if !exists(dir) {
		return s, nil
	}
	if exists(filepath.Join(dir, "run.json")) {
		if err := free(ctx, dir, w.On.Dying()); err != nil {
			return s, err
		}
		newest, _, err := checkpoint.Latest(runs.Checkpoints(dir))
		if err == nil {
			s.from = newest.Manifest.Step
			s.complete = s.from >= t.Steps
			s.args = w.Commands.Resume(t)
			return s, nil
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return s, fmt.Errorf("sweep: clearing away what was begun: %w", err)
	}
	return s, nil
}

// train runs a trial's process to its end and keeps what it said.
func (w *at) train(ctx context.Context, t Trial, s start, started func(string) error) outcome {
	end, err := w.On.Train(ctx, Job{t, s.args}, started)
	if err == nil {
		err = w.log(t.Name, end.Stderr)
	}
	if err != nil {
		return outcome{code: 1, why: err.Error()}
	}
	if end.Code != 0 || end.Lost {
		lines := strings.Split(strings.TrimSpace(end.Stderr), "\n")
		why := strings.TrimPrefix(lines[len(lines)-1], "stein: ")
		if why == "" {
			why = fmt.Sprintf("it ended with code %d and said nothing", end.Code)
		}
		return outcome{code: max(1, end.Code), lost: end.Lost, why: why}
	}
	var result struct {
		Interrupted bool
		Diverged    *struct{ Cause string } // an image model's
	}
	if err := json.Unmarshal([]byte(end.Stdout), &result); err != nil {
		return outcome{code: 1, why: fmt.Sprintf("its result is no JSON: %v", err)}
	}
	switch {
	case result.Interrupted:
		return outcome{interrupted: true, why: "it was told to stop by someone else"}
	case result.Diverged != nil:
		return outcome{diverged: true, why: "diverged: " + result.Diverged.Cause}
	}
	return outcome{}
}

// log adds to what a trial's processes said.
func (w *at) log(trial, said string) error {
	f, err := os.OpenFile(filepath.Join(w.Dir, logsDir, trial+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	_, err = f.WriteString(said)
	return errors.Join(err, f.Close())
}

// free waits until no process is in a run's folder: those of a sweep that was killed
// may still be dying.
func free(ctx context.Context, dir string, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		folder, err := runs.Open(dir)
		if err == nil {
			return folder.Close()
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return err
		}
	}
}

// look reads how far a trial is from its metrics.
func (w *at) look(s *Status) {
	s.Figure = math.NaN()
	table, err := runs.ReadTable(filepath.Join(w.Dir, s.Name))
	if err != nil || len(table.Rows) == 0 {
		return
	}
	s.Step = max(s.From, table.Step(len(table.Rows)-1))
	for _, metric := range []string{"eval/mean_reward", "rollout/ep_rew_mean", "eval/fid", "eval/fd_e0"} {
		if _, values := table.Series(metric); len(values) > 0 {
			s.Figure = values[len(values)-1]
			return
		}
	}
}
