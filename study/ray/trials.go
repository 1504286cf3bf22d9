package ray

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/stein-rl/stein/internal/driver"
	"github.com/stein-rl/stein/study"
)

// Trials runs the trials of a sweep as tasks of a Ray cluster.
type Trials struct {
	TrialsOptions
	driver *driver.Driver
}

var _ study.Executor = (*Trials)(nil)

// TrialsOptions say where runs are stored and what each needs.
type TrialsOptions struct {
	Cluster
	Dir     string                                     // the sweep's folder; without Storage all nodes must see it
	Storage string                                     // fsspec URL that runs are copied from and to; empty: Dir
	CPUs    float64                                    // per trial; 0: its threads
	GPUs    float64                                    // per trial
	Jobs    int                                        // trials at a time; sizes a local cluster
	Config  func(file string) (text []byte, err error) // resolves a configuration file
}

// OpenTrials joins the cluster.
func OpenTrials(ctx context.Context, o TrialsOptions) (*Trials, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	o.Dir = dir
	o.Storage = strings.TrimSuffix(o.Storage, "/")
	with := map[string]any{"board": true}
	if o.Address == "local" {
		with["cpus"], with["gpus"] = max(float64(runtime.NumCPU()), float64(o.Jobs)*o.CPUs), float64(o.Jobs)*o.GPUs
	}
	d, err := o.connect(ctx, with, bringProgram)
	if err != nil {
		return nil, err
	}
	return &Trials{o, d}, nil
}

// Close ends running trials and leaves the cluster.
func (t *Trials) Close() error { return t.driver.Close() }

// Dying is how long the locks of a lost machine may persist.
func (t *Trials) Dying() time.Duration { return nodeDying }

// Fetch copies a run from the storage.
func (t *Trials) Fetch(ctx context.Context, trial string) error {
	if t.Storage == "" {
		return nil
	}
	return t.driver.Call(ctx, "pull", map[string]any{"url": t.Storage + "/" + trial, "folder": filepath.Join(t.Dir, trial)}, nil)
}

// Train runs a trial's process as a task. If its node dies, the End has Lost set.
func (t *Trials) Train(ctx context.Context, j study.Job, started func(string) error) (end study.End, err error) {
	with := map[string]any{
		"trial": j.Name, "dir": t.Dir, "storage": t.Storage, "mirror": filepath.Join(t.Dir, j.Name),
		"cpus": t.CPUs, "gpus": t.GPUs, "args": j.Arguments(study.RunFolder, j.Config),
	}
	if t.CPUs == 0 {
		with["cpus"] = max(1, j.Threads)
	}
	if ext := path.Ext(j.Config); ext == ".yaml" || ext == ".yml" {
		text, err := t.Config(j.Config)
		if err != nil {
			return end, err
		}
		with["config"], with["config_name"] = string(text), filepath.Base(j.Config)
		with["args"] = j.Args
	}
	number, replies, err := t.driver.Send("run", func(n int) any { with["number"] = n; return with })
	if err != nil {
		return end, err
	}
	defer t.driver.Forget(number)
	running, stopping := false, ctx.Done()
	for {
		select {
		case r := <-replies:
			if r.News == nil {
				err := r.Decode(&end)
				if err == nil && t.Storage != "" {
					err = t.Fetch(context.WithoutCancel(ctx), j.Name)
				}
				return end, err
			}
			var news struct{ Node string }
			if err := json.Unmarshal(r.News, &news); err != nil {
				return end, fmt.Errorf("cluster: %s: %w", r.News, err)
			}
			if running = true; started(news.Node) != nil {
				return end, t.stop(number, running)
			}
		case <-stopping:
			stopping = nil // once
			if err := t.stop(number, running); err != nil {
				return end, err
			}
		case <-t.driver.Ended():
			return end, t.driver.Err()
		}
	}
}

// stop tells a trial to stop; the caller waits for its end.
func (t *Trials) stop(number int, running bool) error {
	return t.driver.Call(context.Background(), "stop", map[string]any{"number": number, "started": running}, nil)
}
