package experiments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"time"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/replay/normalize"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// A Training is a run about to go on, from its start or from a checkpoint.
type Training struct {
	Config  Config
	Folder  *Folder
	Resume  bool
	Command []string // as the user typed it, for the record
	Log     *slog.Logger
	Watch   Watcher // nil: nobody
	// Prometheus is told what happens; nil: nobody asks.
	Prometheus *Prometheus
}

// A Watcher shows how far a run is.
type Watcher interface {
	agents.Recorder
	Start(from, total int64)
	Stepped(step int64)
}

// A Result is how a training ended.
type Result struct {
	Step        int64
	Interrupted bool // by the context; a checkpoint was written
	Checkpoint  string
	Final       *agents.Evaluation // after the last step; nil where there was none
	Best        *float64           // highest mean return of the periodic evaluations
	Last        agents.Metrics     // the last figures of the training
}

// run is a Training at work.
type run struct {
	Training
	env, evalEnv envs // evalEnv is nil where nothing is evaluated
	agent        agents.Learner
	memory       memory
	scaling      *normalize.Normalizer // nil: nothing is normalised
	loop         *agents.Loop
	keeper
	last agents.Metrics
}

// Train trains until the configured steps are done or ctx ends; both leave a
// checkpoint of the last step. After any other error there is one of the last good
// state, and the error says where.
func (t Training) Train(ctx context.Context) (res Result, err error) {
	r := &run{Training: t, keeper: newKeeper(t.Folder, t.Log, t.Config.Checkpoint.Keep)}
	defer func() { err = errors.Join(err, r.close()) }()
	var from *checkpoint.Checkpoint
	if t.Resume {
		if from, err = r.newest(t.Config.Steps); err != nil {
			return Result{}, err
		}
	}
	if err := r.build(ctx, from); err != nil {
		if short := brief(err); short.Error() != err.Error() {
			t.Log.Error("training could not start", "error", err.Error())
		}
		return Result{}, brief(err)
	}
	if err := r.openRecords(r.loop.State().Step, r.watchers()...); err != nil {
		return Result{}, err
	}
	if t.Watch != nil {
		t.Watch.Start(r.loop.State().Step, t.Config.Steps)
	}
	err = r.loop.Train(ctx)
	res.Step, res.Best, res.Last = r.loop.State().Step, r.best, r.last
	r.logEnd(res)
	interrupted := err != nil && ctx.Err() != nil
	if saveErr := r.save(); saveErr != nil {
		return res, errors.Join(brief(err), saveErr)
	}
	res.Interrupted, res.Checkpoint = interrupted, r.savedAt
	switch {
	case interrupted:
		return res, nil
	case err != nil:
		t.Log.Error("training stopped", "step", res.Step, "checkpoint", r.savedAt, "error", err.Error())
		return res, fmt.Errorf("%w; the last good state, of step %d, is in %s", brief(err), res.Step, r.savedAt)
	}
	if r.evalEnv == nil {
		return res, nil
	}
	final, err := agents.Evaluate(ctx, r.evalEnv[0], r.agent, frozen(r.scaling), t.Config.Eval.Episodes, t.Folder.Info.Seed.Stream(streamFinal))
	if err != nil {
		if ctx.Err() != nil { // the training itself is done
			return res, nil
		}
		return res, brief(err)
	}
	warnCut(r.Log, final)
	res.Final = &final
	return res, nil
}

// logEnd says what the training came to, and what it spent its time on.
func (r *run) logEnd(res Result) {
	attrs := []any{"step", res.Step, "of", r.Config.Steps, "peak_rss_mb", peakMemory() >> 20}
	for _, name := range []string{"time/fps", "time/act", "time/env_wait", "time/sample", "time/update"} {
		if x, ok := res.Last[name]; ok {
			attrs = append(attrs, name, math.Round(x*1000)/1000)
		}
	}
	r.Log.Info("trained", attrs...)
}

// build makes every part and puts the state of a checkpoint into them, if there is
// one.
func (r *run) build(ctx context.Context, from *checkpoint.Checkpoint) error {
	c, seed := r.Config, r.Folder.Info.Seed
	backend, choice, err := c.Engine.open(r.Log)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, func() error { backend.Finalize(); return nil })
	if r.env, err = c.Env.connect(ctx, r.link("training")); err != nil {
		return err
	}
	r.closers = append(r.closers, r.env.Close)
	warnEndless(r.Log, r.env.Spec())
	if c.Eval.Every > 0 {
		if r.evalEnv, err = c.Env.connectEval(ctx, c.Eval.Episodes, r.link("evaluation")); err != nil {
			return fmt.Errorf("copies of the environment for evaluations (eval.every 0 trains without): %w", err)
		}
		r.closers = append(r.closers, r.evalEnv.Close)
	}
	if r.memory, err = c.memory(r.env.Spec()); err != nil {
		return err
	}
	if r.scaling, err = c.scaling(r.env.Spec()); err != nil {
		return err
	}
	started := time.Now()
	r.agent, err = c.learner(backend, r.env.Spec(), seed, agents.ToLearn)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, func() error { r.agent.Close(); return nil })
	r.Log.Info("compiled", "seconds", math.Round(time.Since(started).Seconds()*10)/10)

	r.state, r.step, r.written = r.write, func() int64 { return r.loop.State().Step }, r.wrote
	r.loop = &agents.Loop{
		Agent: r.agent, Buffer: r.memory, Schedule: c.Schedule, Steps: c.Steps,
		Seed: uint64(seed.Stream(streamReplay)), EnvSeed: seed.Stream(streamEnv),
		Recorder: r, Every: c.Log.Every,
		Periodic: []agents.Periodic{
			{Every: 1, Do: r.stepped},
			{Every: c.Eval.Every, Do: r.evaluate},
			{Every: c.Checkpoint.Every, Do: r.periodicSave},
		},
	}
	if r.scaling != nil {
		r.loop.Normalizer = r.scaling
	}
	r.loop.Envs = r.env
	if from != nil {
		if err := r.restore(from); err != nil {
			return err
		}
	}
	return r.begin(choice)
}

func (r *run) begin(choice engine.Choice) error {
	from := r.loop.State().Step
	if err := r.keeper.begin(r.Config, r.Config.Engine, choice, r.Command, from); err != nil {
		return err
	}
	spec := r.env.Spec()
	if r.Prometheus != nil {
		r.Prometheus.begin(r.Config, spec, from)
	}
	r.Log.Info("training", "folder", r.Folder.Dir, "env", spec.ID, "copies", spec.Copies, "obs", spec.ObsDim, "actions", spec.ActDim,
		"agent", r.Config.Agent.Name, "policy", r.Config.Policy.Name, "seed", uint64(r.Folder.Info.Seed), "backend", choice.Config, "from_step", from, "steps", r.Config.Steps)
	return nil
}

// watchers are told figures besides the run's files.
func (r *run) watchers() []agents.Recorder {
	var all []agents.Recorder
	if r.Watch != nil {
		all = append(all, r.Watch)
	}
	if r.Prometheus != nil {
		all = append(all, r.Prometheus)
	}
	return all
}

// link is how the run's environments are reached, for training or evaluation.
func (r *run) link(purpose string) link {
	l := link{log: r.Log, run: r.Folder.Info.ID, purpose: purpose, prometheus: r.Prometheus}
	if purpose != "training" {
		l.log = l.log.With("for", purpose)
	}
	return l
}

var _ agents.Recorder = (*run)(nil)

// Record adds what the loop does not know, and tells all recorders.
func (r *run) Record(step int64, m agents.Metrics) error {
	all := maps.Clone(m)
	maps.Copy(all, r.env.Metrics())
	all["replay/transitions"] = float64(r.memory.Len())
	r.last = all
	return r.record.Record(step, all)
}

func (r *run) stepped(_ context.Context, step int64) error {
	if r.Watch != nil {
		r.Watch.Stepped(step)
	}
	if r.Prometheus != nil {
		r.Prometheus.step.Store(step)
	}
	return nil
}

// evaluate measures the agent, and keeps a checkpoint of the best so far.
func (r *run) evaluate(ctx context.Context, step int64) error {
	e, err := agents.Evaluate(ctx, r.evalEnv[0], r.agent, frozen(r.scaling), r.Config.Eval.Episodes, r.Folder.Info.Seed.Stream(streamEval))
	if err != nil {
		return err
	}
	warnCut(r.Log, e)
	better := r.judged(step, e.Mean())
	m := e.Metrics()
	m["eval/best_mean_reward"] = *r.best
	if err := r.record.Record(step, m); err != nil {
		return err
	}
	if better {
		return r.periodicSave(ctx, step)
	}
	return nil
}

// Files of a checkpoint.
const (
	agentFile  = "agent"      // .safetensors and .json
	loopFile   = "loop"       // .json
	sizesFile  = "sizes"      // .json
	replayFile = "replay.bin" // where the configuration wants it
)

// write puts everything that the run needs to go on into a checkpoint.
func (r *run) write(w *checkpoint.Writer) error {
	all := []error{writeAgent(w, r.agent, r.env.Spec()), w.JSON(loopFile, r.loop.State())}
	if r.scaling != nil {
		all = append(all, w.JSON(scalingFile, r.scaling.State()))
	}
	if r.Config.Checkpoint.Replay {
		all = append(all, w.File(replayFile, r.memory.Save))
	}
	return errors.Join(all...)
}

// wrote follows a checkpoint.
func (r *run) wrote(step int64) error {
	if err := r.breakOff(); err != nil {
		return err
	}
	if r.Prometheus != nil {
		r.Prometheus.wrote(step)
	}
	return nil
}

// breakOff gives what no checkpoint holds up, where a checkpoint is to be exact.
func (r *run) breakOff() error {
	if !r.Config.Checkpoint.Exact {
		return nil
	}
	r.loop.Anew()
	if r.scaling == nil {
		return nil
	}
	return r.scaling.Restore(r.scaling.State()) // without the running episodes' returns
}

// restore puts a checkpoint's state into the parts.
func (r *run) restore(c *checkpoint.Checkpoint) error {
	var state agents.LoopState
	if err := errors.Join(c.Store(agentFile, r.agent.Store()), c.JSON(agentFile, r.agent.State()), c.JSON(loopFile, &state),
		restoreScaling(r.scaling, c)); err != nil {
		return err
	}
	r.loop.SetState(state)
	r.restored(c)
	if c.Has(replayFile) {
		return c.File(replayFile, r.memory.Load)
	}
	if state.Step > r.Config.Schedule.LearningStarts {
		r.loop.Schedule.LearningStarts = state.Step + max(r.Config.Schedule.LearningStarts, int64(r.Config.Schedule.BatchSize))
		r.Log.Warn("the checkpoint holds no replay memory: learning waits until it has filled again",
			"checkpoint", c.Path, "until_step", r.loop.Schedule.LearningStarts)
	}
	return nil
}

// brief is the first line of an error: tracebacks and a worker's last lines go to
// the log alone.
func brief(err error) error {
	if err == nil {
		return nil
	}
	return &briefError{err}
}

type briefError struct{ err error }

func (e *briefError) Error() string {
	text := e.err.Error()
	for i, r := range text {
		if r == '\n' {
			return text[:i]
		}
	}
	return text
}

func (e *briefError) Unwrap() error { return e.err }
