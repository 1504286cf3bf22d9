package experiments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/envbridge/envpb"
	"github.com/stein-rl/stein/replay"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// open opens the backend with the configured threads. It warns if the backend is slow.
func (e Engine) open(log *slog.Logger) (compute.Backend, engine.Choice, error) {
	if err := engine.SetThreads(e.Threads); err != nil {
		return nil, engine.Choice{}, err
	}
	backend, choice, err := engine.Open(e.Backend)
	if err != nil {
		return nil, choice, err
	}
	if w := choice.Warning(); w != "" {
		log.Warn(w)
	}
	log.Debug("backend", "config", choice.Config, "from", choice.From, "description", backend.Description())
	return backend, choice, nil
}

// A link describes how a bridge reports to a run.
type link struct {
	log        *slog.Logger
	run        string // id of the run
	purpose    envbridge.Purpose
	prometheus *Prometheus // may be nil
}

// connect opens an environment for each worker. They run in this process if the catalog
// has them, on the host if there is one, at the configured endpoints, or else in local
// processes. Each environment's log lines carry its number.
func (e Env) connect(ctx context.Context, l link) (envs, error) {
	w := envbridge.Worker{
		Env: e.ID, Kwargs: e.Kwargs, MaxSteps: e.MaxSteps, Copies: e.Copies, Render: e.render,
		Timeout: e.Timeout, StartTimeout: e.StartTimeout, Run: l.run,
	}
	if e.Key != "" {
		key, err := envbridge.LoadKey(e.Key)
		if err != nil {
			return nil, err
		}
		w.Key = key
	}
	if InProcess(e.ID) {
		var all envs
		for range e.Workers {
			env, err := e.inGo.open(e.ID, e.Kwargs, e.Copies, e.MaxSteps)
			if err != nil {
				return nil, err
			}
			all = append(all, env)
		}
		return all, nil
	}
	workers := e.Workers
	if len(e.Endpoints) > 0 {
		workers = len(e.Endpoints)
	}
	bridges, err := startAll(ctx, workers, func(ctx context.Context, i int) (*envbridge.Bridge, error) {
		w := w
		w.Log = l.log.With("bridge", i)
		if l.prometheus != nil {
			w.Clock = l.prometheus.clock(l.purpose, i)
		}
		switch {
		case e.host != nil:
			return envbridge.Place(ctx, e.host, []envbridge.Post{{For: l.purpose, Number: i}}, w)
		case len(e.Endpoints) > 0:
			return envbridge.Dial(ctx, e.Endpoints[i], w)
		}
		return envbridge.Start(ctx, w)
	})
	if err != nil {
		return nil, err
	}
	var all envs
	for i, b := range bridges {
		all = append(all, b)
		if l.prometheus != nil {
			l.prometheus.watch(l.purpose, i, b)
		}
	}
	return all, nil
}

// startAll starts workers concurrently, because a simulator may load slowly. The first
// failure cancels the other starts.
func startAll(ctx context.Context, workers int, start func(context.Context, int) (*envbridge.Bridge, error)) ([]*envbridge.Bridge, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := make([]*envbridge.Bridge, workers)
	var failed error
	var once sync.Once
	var wait sync.WaitGroup
	for i := range workers {
		wait.Go(func() {
			b, err := start(ctx, i)
			if err != nil {
				once.Do(func() { failed = err })
				cancel()
			}
			all[i] = b
		})
	}
	wait.Wait()
	if failed == nil {
		return all, nil
	}
	for _, b := range all {
		if b != nil {
			failed = errors.Join(failed, b.Close())
		}
	}
	return nil, failed
}

// connectEval opens environments for a number of evaluation episodes, all run
// concurrently. If several copies are impossible, for instance because a simulator uses a
// fixed port, one copy runs the episodes in sequence.
func (e Env) connectEval(ctx context.Context, episodes int, l link) (envs, error) {
	several := e.forEval(episodes, false)
	made, err := several.connect(ctx, l)
	var refused *envbridge.RefusedError
	if several.Copies == 1 || !errors.As(err, &refused) || refused.Code != envpb.Failure_RAISED {
		return made, err
	}
	l.log.Warn("cannot create several copies of the environment; one copy runs the evaluation's episodes in sequence",
		"copies", several.Copies, "why", refused.Message)
	several.Copies = 1
	if made, again := several.connect(ctx, l); again == nil {
		return made, nil
	}
	return nil, err
}

// warnEndless warns about an environment without a time limit.
func warnEndless(log *slog.Logger, spec envbridge.Spec) {
	if spec.MaxSteps == 0 {
		log.Warn("the environment has no time limit, so episodes may never end: set env.max_steps; evaluations truncate episodes",
			"env", spec.ID, "steps_of_an_evaluated_episode", agents.EpisodeLimit)
	}
}

// warnCut warns about truncated evaluation episodes.
func warnCut(log *slog.Logger, e agents.Evaluation) {
	if e.Cut > 0 {
		log.Warn("evaluation episodes did not end and were truncated: set env.max_steps",
			"episodes", e.Cut, "of", len(e.Returns), "after_steps", agents.EpisodeLimit)
	}
}

// forEval configures the environment for a number of evaluation episodes, run
// concurrently in one copy each.
func (e Env) forEval(episodes int, render bool) Env {
	e.Workers, e.Copies, e.render = 1, min(episodes, maxEvalCopies), render
	if len(e.Endpoints) > 1 {
		e.Endpoints = e.Endpoints[:1] // a worker serves several clients
	}
	return e
}

const maxEvalCopies = 10

// envs are the environments of a run.
type envs []envbridge.Env

// Spec is the spec of all copies together.
func (e envs) Spec() envbridge.Spec {
	spec := e[0].Spec()
	spec.Copies = 0
	for _, b := range e {
		spec.Copies += b.Spec().Copies
	}
	return spec
}

// Metrics count failures and recoveries of workers.
func (e envs) Metrics() agents.Metrics {
	var sum envbridge.Stats
	for _, b := range e {
		faulty, ok := b.(interface{ Stats() envbridge.Stats })
		if !ok {
			continue // in this process: no worker
		}
		s := faulty.Stats()
		sum.Failures += s.Failures
		sum.Restarts += s.Restarts
		sum.Lost += s.Lost
		sum.Garbage += s.Garbage
	}
	return agents.Metrics{
		"env/worker_failures": float64(sum.Failures), "env/worker_restarts": float64(sum.Restarts), "env/lost_steps": float64(sum.Lost),
		"env/garbage_messages": float64(sum.Garbage),
	}
}

func (e envs) Close() error {
	var all []error
	for _, b := range e {
		all = append(all, b.Close())
	}
	return errors.Join(all...)
}

// learner builds the agent for an environment with the random streams of a seed.
func (c Config) learner(backend compute.Backend, spec envbridge.Spec, seed runs.Seed, use agents.Use) (agents.Learner, error) {
	return c.Agent.Value.Make(agents.Task{
		Backend: backend, Spec: spec, Policy: c.Policy.Value, Schedule: c.Schedule, Seed: uint64(seed.Stream(streamAgent)), Use: use,
	})
}

// sizes are the sizes of an agent's environment, and the bounds that its actions in
// [-1, 1] are scaled to. Checkpoints before 0.1 and imported agents lack the optional
// fields.
type sizes struct {
	ObsDim   int       `json:"obs_dim"`
	ActDim   int       `json:"act_dim"`
	ObsShape []int     `json:"obs_shape,omitempty"`
	ActShape []int     `json:"act_shape,omitempty"`
	ActLow   []float64 `json:"act_low,omitempty"`
	ActHigh  []float64 `json:"act_high,omitempty"`
}

func sizesOf(spec envbridge.Spec) sizes {
	s := sizes{ObsDim: spec.ObsDim, ActDim: spec.ActDim, ObsShape: spec.ObsShape, ActShape: spec.ActShape}
	if b := spec.Bounds; b != nil {
		s.ActLow, s.ActHigh = b.Low, b.High
	}
	return s
}

// describe puts the sizes into what is known of an environment.
func (s sizes) describe(spec *envbridge.Spec) {
	spec.ObsDim, spec.ActDim, spec.ObsShape, spec.ActShape = s.ObsDim, s.ActDim, s.ObsShape, s.ActShape
	if len(s.ActLow) == s.ActDim && len(s.ActHigh) == s.ActDim {
		spec.Bounds = &envbridge.Bounds{Low: s.ActLow, High: s.ActHigh}
	}
}

// writeAgent writes an agent to a checkpoint.
func writeAgent(w *checkpoint.Writer, agent agents.Learner, spec envbridge.Spec) error {
	return errors.Join(w.Store(agentFile, agent.Store()), w.JSON(agentFile, agent.State()), w.JSON(sizesFile, sizesOf(spec)))
}

// memory creates the replay buffer for an environment.
func (c Config) memory(spec envbridge.Spec) (memory, error) {
	gamma, steps := c.Agent.Value.Discount()
	shape := replay.Config{
		Capacity: c.Replay.Capacity, Copies: spec.Copies, ObsDim: spec.ObsDim, ActDim: spec.ActDim,
		NStep: steps, Gamma: gamma,
	}
	switch c.Replay.Kind {
	case "uniform":
		return replay.New(shape)
	case "prioritized":
		return replay.NewPrioritized(shape, replay.Priority{
			Alpha: c.Replay.Exponent, Epsilon: 1e-6, Beta: c.Replay.Weight, BetaSteps: c.Steps,
		})
	}
	return nil, fmt.Errorf("experiments: replay.kind %q", c.Replay.Kind)
}

// A memory is a replay buffer that checkpoints can save.
type memory interface {
	replay.Buffer
	replay.Saver
}
