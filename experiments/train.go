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
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/replay/normalize"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// A Training is a run to train, from the start or from a checkpoint.
type Training struct {
	Config  Config
	Folder  *runs.Folder
	Resume  bool
	Command []string // as the user typed it, for the record
	Log     *slog.Logger
	Watch   runs.Watcher // may be nil
	// Prometheus exposes the training's metrics; may be nil.
	Prometheus *Prometheus
}

// A Result is the outcome of a training.
type Result struct {
	runs.End
	Final *agents.Evaluation // after the last step; nil if there was none
}

// run is a running Training.
type run struct {
	Training
	env, evalEnv envs // evalEnv is nil without evaluations
	agent        agents.Learner
	memory       memory
	scaling      *normalize.Normalizer // nil: no normalisation
	loop         *agents.Loop
	keeper       *runs.Keeper
	backend      string
	final        *agents.Evaluation
}

// The random streams of an agent's run.
const (
	streamEnv      = "environments"            // initial states of episodes, and action spaces
	streamEval     = "evaluation environments" // evaluations during training
	streamAgent    = "agent"                   // initial weights, exploration, sampler noise
	streamReplay   = "replay"                  // which transitions are drawn
	streamFinal    = "final evaluation"        // evaluation after training
	streamEvalOnly = "eval command"            // stein eval without a seed
)

// Train trains until the configured steps are done or ctx ends, and then saves a
// checkpoint of the last step. After any other error it saves the last good state and
// names the checkpoint in the error.
func (t Training) Train(ctx context.Context) (Result, error) {
	r := &run{Training: t}
	skeleton := runs.Training{
		Folder: t.Folder, Config: t.Config, Total: t.Config.Steps, Unit: "step", Keep: t.Config.Checkpoint.Keep,
		Threads: t.Config.Engine.Threads, Resume: t.Resume, Command: t.Command, Log: t.Log, Watch: t.Watch,
	}
	if t.Prometheus != nil {
		skeleton.Recorders = append(skeleton.Recorders, t.Prometheus)
	}
	end, err := skeleton.Train(ctx, r)
	return Result{end, r.final}, err
}

var (
	_ runs.Work     = (*run)(nil)
	_ runs.Follower = (*run)(nil)
)

// Step is the number of environment steps done.
func (r *run) Step() int64 { return r.loop.State().Step }

// Train trains the agent.
func (r *run) Train(ctx context.Context) error {
	c, spec, from := r.Config, r.env.Spec(), r.Step()
	if r.Prometheus != nil {
		r.Prometheus.begin(c, spec, from)
	}
	r.Log.Info("training", "folder", r.Folder.Dir, "env", spec.ID, "copies", spec.Copies, "obs", spec.ObsDim, "actions", spec.ActDim,
		"agent", c.Agent.Name, "policy", c.Policy.Name, "seed", uint64(r.Folder.Info.Seed), "backend", r.backend, "from_step", from, "steps", c.Steps)
	return r.loop.Train(ctx)
}

// Finish evaluates the agent.
func (r *run) Finish(ctx context.Context) error {
	if r.evalEnv == nil {
		return nil
	}
	final, err := agents.Evaluate(ctx, r.evalEnv[0], r.agent, frozen(r.scaling), r.Config.Eval.Episodes, r.Folder.Info.Seed.Stream(streamFinal))
	if err == nil {
		warnCut(r.Log, final)
		r.final = &final
	}
	return err
}

// Build builds all parts.
func (r *run) Build(ctx context.Context, k *runs.Keeper) (chosen string, err error) {
	c, seed := r.Config, r.Folder.Info.Seed
	r.keeper = k
	backend, choice, err := c.Engine.open(r.Log)
	if err != nil {
		return "", err
	}
	if r.env, err = c.Env.connect(ctx, r.link(envbridge.Training)); err != nil {
		return "", err
	}
	k.OnClose(r.env.Close)
	warnEndless(r.Log, r.env.Spec())
	if c.Eval.Every > 0 {
		if r.evalEnv, err = c.Env.connectEval(ctx, c.Eval.Episodes, r.link(envbridge.Evaluation)); err != nil {
			return "", fmt.Errorf("starting environments for evaluation (eval.every=0 disables it): %w", err)
		}
		k.OnClose(r.evalEnv.Close)
	}
	if r.memory, err = c.memory(r.env.Spec()); err != nil {
		return "", err
	}
	if r.scaling, err = c.scaling(r.env.Spec()); err != nil {
		return "", err
	}
	started := time.Now()
	r.agent, err = c.learner(backend, r.env.Spec(), seed, agents.ToLearn)
	if err != nil {
		return "", err
	}
	k.OnClose(func() error { r.agent.Close(); return nil })
	r.Log.Info("compiled", "seconds", math.Round(time.Since(started).Seconds()*10)/10)

	r.loop = &agents.Loop{
		Agent: r.agent, Buffer: r.memory, Schedule: c.Schedule, Steps: c.Steps,
		Seed: uint64(seed.Stream(streamReplay)), EnvSeed: seed.Stream(streamEnv),
		Recorder: r, Every: c.Log.Every,
		Periodic: []agents.Periodic{
			{Every: 1, Do: r.stepped},
			{Every: c.Eval.Every, Do: r.evaluate},
			{Every: c.Checkpoint.Every, Do: k.PeriodicSave},
		},
	}
	if r.scaling != nil {
		r.loop.Normalizer = r.scaling
	}
	r.loop.Envs = r.env
	r.backend = choice.Config
	return r.backend, nil
}

// link describes the run's environments for training or evaluation.
func (r *run) link(purpose envbridge.Purpose) link {
	l := link{log: r.Log, run: r.Folder.Info.ID, purpose: purpose, prometheus: r.Prometheus}
	if purpose != envbridge.Training {
		l.log = l.log.With("for", purpose)
	}
	return l
}

var _ agents.Recorder = (*run)(nil)

// Record adds figures from outside the loop and passes all to the recorders.
func (r *run) Record(step int64, m agents.Metrics) error {
	all := maps.Clone(m)
	maps.Copy(all, r.env.Metrics())
	all["replay/transitions"] = float64(r.memory.Len())
	return r.keeper.Record(step, all)
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

// evaluate evaluates the agent and saves a checkpoint if it is the best so far.
func (r *run) evaluate(ctx context.Context, step int64) error {
	e, err := agents.Evaluate(ctx, r.evalEnv[0], r.agent, frozen(r.scaling), r.Config.Eval.Episodes, r.Folder.Info.Seed.Stream(streamEval))
	if err != nil {
		return err
	}
	warnCut(r.Log, e)
	return r.keeper.Evaluated(step, e.Metrics(), e.Mean(), "eval/best_mean_reward")
}

// Files of a checkpoint.
const (
	agentFile  = "agent"      // .safetensors and .json
	loopFile   = "loop"       // .json
	sizesFile  = "sizes"      // .json
	replayFile = "replay.bin" // if checkpoint.replay is set
)

// Save writes everything needed to resume the run.
func (r *run) Save(w *checkpoint.Writer) error {
	all := []error{writeAgent(w, r.agent, r.env.Spec()), w.JSON(loopFile, r.loop.State())}
	if r.scaling != nil {
		all = append(all, w.JSON(scalingFile, r.scaling.State()))
	}
	if r.Config.Checkpoint.Replay {
		all = append(all, w.File(replayFile, r.memory.Save))
	}
	return errors.Join(all...)
}

// tellStretched warns that a changed number of steps stretches a learning-rate schedule.
func (r *run) tellStretched(step int64) {
	before, schedule, err := r.before()
	if now := r.Config.Steps; err == nil && before > 0 && before != now && schedule == "linear" {
		share := func(total int64) float64 { return math.Round(1e4*max(0, 1-float64(step)/float64(total))) / 1e4 }
		r.Log.Warn("the changed number of steps stretches lr_schedule: the learning rates jump from share_before to share_now of their initial values",
			"share_before", share(before), "share_now", share(now), "steps_before", before, "steps_now", now)
	}
}

// before reads the previous number of steps and learning-rate schedule from the folder.
func (r *run) before() (steps int64, schedule any, err error) {
	layers, _, err := ladder.Reread(r.Folder.Dir)
	if err != nil {
		return 0, nil, err
	}
	var agent map[string]any
	err = errors.Join(layers[0].Get("steps", &steps), layers[0].Get("agent", &agent))
	return steps, agent["lr_schedule"], err
}

// Saved handles a new checkpoint.
func (r *run) Saved(step int64) error {
	if err := r.breakOff(); err != nil {
		return err
	}
	if r.Prometheus != nil {
		r.Prometheus.wrote(step)
	}
	return nil
}

// breakOff discards state that checkpoints cannot hold, if checkpoints must be exact.
func (r *run) breakOff() error {
	if !r.Config.Checkpoint.Exact {
		return nil
	}
	r.loop.Anew()
	if r.scaling == nil {
		return nil
	}
	return r.scaling.Restore(r.scaling.State()) // drops the returns of current episodes
}

// Restore loads a checkpoint into the parts.
func (r *run) Restore(c *checkpoint.Checkpoint) error {
	if c.Manifest.Only != "" {
		return fmt.Errorf("checkpoint %s was exported with --only %s: it has no critics, optimisers or counters to train on; continue the run that it was exported from", c.Path, c.Manifest.Only)
	}
	var state agents.LoopState
	if err := errors.Join(c.Store(agentFile, r.agent.Store()), c.JSON(agentFile, r.agent.State()), c.JSON(loopFile, &state),
		restoreScaling(r.scaling, c)); err != nil {
		return err
	}
	r.tellStretched(state.Step)
	r.loop.SetState(state)
	if c.Has(replayFile) {
		return c.File(replayFile, r.memory.Load)
	}
	if state.Step > r.Config.Schedule.LearningStarts {
		r.loop.Schedule.LearningStarts = state.Step + max(r.Config.Schedule.LearningStarts, int64(r.Config.Schedule.BatchSize))
		r.Log.Warn("the checkpoint has no replay memory: learning resumes once it is refilled",
			"checkpoint", c.Path, "until_step", r.loop.Schedule.LearningStarts)
	}
	return nil
}
