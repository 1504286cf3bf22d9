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

// A start says how to start a trial's process.
type start struct {
	args     []string
	from     int64 // step
	complete bool  // nothing is left to do
}

// An outcome is what an End means for the trial.
type outcome struct {
	code        int
	interrupted bool
	diverged    bool // and so ended before its last step
	lost        bool
	why         string
}

// prepare inspects a trial's folder: it may be missing, resumable, or complete. A run
// without a usable checkpoint cannot be resumed and is removed.
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
		return s, fmt.Errorf("sweep: removing an incomplete run: %w", err)
	}
	return s, nil
}

// train runs a trial's process to its end and logs its output.
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
			why = fmt.Sprintf("the process exited with code %d and no error message", end.Code)
		}
		return outcome{code: max(1, end.Code), lost: end.Lost, why: why}
	}
	var result struct {
		Interrupted bool
		Diverged    *struct{ Cause string } // an image model's
	}
	if err := json.Unmarshal([]byte(end.Stdout), &result); err != nil {
		return outcome{code: 1, why: fmt.Sprintf("the process's result is not valid JSON: %v", err)}
	}
	switch {
	case result.Interrupted:
		return outcome{interrupted: true, why: "the process was interrupted from outside"}
	case result.Diverged != nil:
		return outcome{diverged: true, why: "diverged: " + result.Diverged.Cause}
	}
	return outcome{}
}

// log appends a trial's output to its log.
func (w *at) log(trial, said string) error {
	f, err := os.OpenFile(filepath.Join(w.Dir, logsDir, trial+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	_, err = f.WriteString(said)
	return errors.Join(err, f.Close())
}

// free waits until no process uses a run's folder: those of a killed sweep may take a
// moment to end.
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

// look reads a trial's progress from its metrics.
func (w *at) look(s *Status) {
	s.Figure = math.NaN()
	table, err := runs.ReadTable(filepath.Join(w.Dir, s.Name))
	if err != nil || len(table.Rows) == 0 {
		return
	}
	s.Step = max(s.From, table.Step(len(table.Rows)-1))
	for _, metric := range []string{"eval/mean_reward", "rollout/ep_rew_mean", "eval/fid", "eval/fd_e0", "eval/fd_e2"} {
		if _, values := table.Series(metric); len(values) > 0 {
			s.Figure = values[len(values)-1]
			return
		}
	}
}
