package sweep

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stein-rl/stein/checkpoint"
	"github.com/stein-rl/stein/experiments"
)

// A start says how a trial's process begins.
type start struct {
	args     []string
	from     int64 // step
	complete bool  // there is nothing to do
}

// An outcome is how a process ended.
type outcome struct {
	code        int
	interrupted bool
	why         string
}

// prepare looks at what there is of a trial: nothing, a run to continue, or one that
// has all its steps. A run without a usable checkpoint has nothing to continue from,
// and is removed.
func (w *at) prepare(ctx context.Context, t Trial) (start, error) {
	dir := filepath.Join(w.Dir, t.Name)
	s := start{args: []string{"--log-level", "warn", "train", "--json", "--config", t.Config, "--run-dir", dir, "--seed", strconv.FormatUint(t.Seed, 10)}}
	for _, set := range t.Sets {
		s.args = append(s.args, "--set", set)
	}
	s.args = append(s.args, "--threads", strconv.Itoa(t.Threads))
	if !exists(dir) {
		return s, nil
	}
	if exists(filepath.Join(dir, "run.json")) {
		if err := free(ctx, dir); err != nil {
			return s, err
		}
		newest, _, err := checkpoint.Latest(experiments.CheckpointsOf(dir))
		if err == nil {
			s.from = newest.Manifest.Step
			s.complete = s.from >= t.Steps
			s.args = []string{"--log-level", "warn", "train", "--json", "--resume", dir}
			return s, nil
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return s, fmt.Errorf("sweep: clearing away what was begun: %w", err)
	}
	return s, nil
}

// free waits until no process is in a run's folder: those of a sweep that was killed
// may still be dying.
func free(ctx context.Context, dir string) error {
	for end := time.Now().Add(dying); ; time.Sleep(dying / 100) {
		folder, err := experiments.OpenFolder(dir)
		if err == nil {
			return folder.Close()
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return err
		}
	}
}

// dying is how long a killed process may take to be gone.
const dying = 10 * time.Second

// train runs a trial's process to its end. When ctx ends it is told to stop.
func (w *at) train(ctx context.Context, t Trial, s start) outcome {
	log, err := os.OpenFile(filepath.Join(w.Dir, logsDir, t.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return outcome{code: 1, why: err.Error()}
	}
	defer log.Close()
	var out bytes.Buffer
	said := &tail{}
	cmd := exec.Command(w.Program, s.args...)
	cmd.Stdout, cmd.Stderr = &out, said
	cmd.SysProcAttr = processAttributes()
	// The kernel ends the process when the thread ends that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return outcome{code: 1, why: err.Error()}
	}
	told := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer told()
	err = cmd.Wait()
	if _, logErr := log.Write(said.all); logErr != nil {
		return outcome{code: 1, why: logErr.Error()}
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return outcome{code: 1, why: err.Error()}
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		return outcome{code: code, why: said.last(cmd.ProcessState.String())}
	}
	var result struct{ Interrupted bool }
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		return outcome{code: 1, why: fmt.Sprintf("its result is no JSON: %v", err)}
	}
	return outcome{interrupted: result.Interrupted, why: "it was told to stop by someone else"}
}

// tail keeps the end of what a process says.
type tail struct{ all []byte }

const tailSize = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.all = append(t.all, p...)
	if len(t.all) > 2*tailSize {
		t.all = append([]byte(nil), t.all[len(t.all)-tailSize:]...)
	}
	return len(p), nil
}

// last is the last line, or else how the process ended.
func (t *tail) last(otherwise string) string {
	lines := strings.Split(strings.TrimSpace(string(t.all)), "\n")
	if line := strings.TrimPrefix(lines[len(lines)-1], "stein: "); line != "" {
		return line
	}
	return otherwise
}

// look reads how far a trial is from its metrics.
func (w *at) look(s *Status) {
	s.Return = math.NaN()
	table, err := experiments.ReadTable(filepath.Join(w.Dir, s.Name))
	if err != nil || len(table.Rows) == 0 {
		return
	}
	s.Step = max(s.From, table.Step(len(table.Rows)-1))
	for _, metric := range []string{"eval/mean_reward", "rollout/ep_rew_mean"} {
		if _, values := table.Series(metric); len(values) > 0 {
			s.Return = values[len(values)-1]
			return
		}
	}
}
