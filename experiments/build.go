package experiments

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/replay"
)

// connect opens environments: where the configuration names endpoints, at those,
// else in processes of our own.
func (e Env) connect(ctx context.Context, log *slog.Logger) (*envbridge.Bridge, error) {
	w := envbridge.Worker{
		Env: e.ID, Kwargs: e.Kwargs, MaxSteps: e.MaxSteps,
		Processes: e.Workers, Copies: e.Copies, Render: e.render,
		Timeout: e.Timeout, Log: log,
	}
	if len(e.Endpoints) == 0 {
		return envbridge.Start(ctx, w)
	}
	if e.Key != "" {
		key, err := envbridge.LoadKey(e.Key)
		if err != nil {
			return nil, err
		}
		w.Key = key
	}
	return envbridge.Dial(ctx, strings.Join(e.Endpoints, ","), w)
}

// forEval is the same environment for a number of evaluation episodes: all of them
// at once, each in a copy of its own, so that short episodes don't crowd out long
// ones.
func (e Env) forEval(episodes int, render bool) Env {
	e.Workers, e.Copies, e.render = 1, min(episodes, maxEvalCopies), render
	if len(e.Endpoints) > 1 {
		e.Endpoints = e.Endpoints[:1] // a worker serves several clients
	}
	return e
}

const maxEvalCopies = 10

// memory makes the replay buffer for an environment.
func (c Config) memory(spec envbridge.Spec) (replay.Buffer, error) {
	shape := replay.Config{
		Capacity: c.Replay.Capacity, Copies: spec.Copies, ObsDim: spec.ObsDim, ActDim: spec.ActDim,
		NStep: c.Agent.NStep, Gamma: c.Agent.Gamma,
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
