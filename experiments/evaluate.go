package experiments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/runs"
)

// An Exam is an evaluation of a run's agent to perform.
type Exam struct {
	Dir        string
	Checkpoint string     // last, best, or a step
	Episodes   int        // 0: as many as in training
	Seed       *runs.Seed // nil: derived from the run's seed
	Video      string     // file for a video of the first episode; empty: none
	Plot       string     // PNG of episodes and policy on a plane; empty: none
	Stochastic bool       // sample actions instead of taking greedy ones
	Sets       []string
	Log        *slog.Logger
}

// A Mark is the result of an Exam.
type Mark struct {
	agents.Evaluation
	Config Config
	Step   int64 // step of the checkpoint
	Path   string
	Seed   runs.Seed
	Video  int    // number of frames written
	Plane  *Plane // set if there is a Plot
}

// Evaluate runs episodes with the greedy actions of a run's agent.
func (c Catalog) Evaluate(ctx context.Context, x Exam) (m Mark, err error) {
	info, err := runs.ReadInfo(x.Dir)
	if err != nil {
		return m, err
	}
	x.Log = x.Log.With("run", info.ID)
	if m.Config, err = c.Reread(x.Dir, x.Sets); err != nil {
		return m, err
	}
	if x.Episodes == 0 {
		x.Episodes = m.Config.Eval.Episodes
	}
	m.Seed = info.Seed
	if x.Seed != nil {
		m.Seed = *x.Seed
	}
	saved, err := runs.OpenCheckpoint(x.Dir, x.Checkpoint, x.Log)
	if err != nil {
		return m, err
	}
	m.Step, m.Path = saved.Manifest.Step, saved.Path

	backend, _, err := m.Config.Engine.open(x.Log)
	if err != nil {
		return m, err
	}
	env, err := m.Config.Env.connectEval(ctx, x.Episodes, link{log: x.Log, run: info.ID, purpose: envbridge.Evaluation})
	if err != nil {
		return m, runs.Brief(err)
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	warnEndless(x.Log, env.Spec())
	if x.Plot != "" {
		if err := planar(env.Spec()); err != nil {
			return m, err
		}
	}
	learner, err := m.Config.learner(backend, env.Spec(), m.Seed, useOf(saved, agents.ToAct))
	if err != nil {
		return m, err
	}
	defer learner.Close()
	if err := saved.Store(agentFile, learner.Store()); err != nil {
		return m, err
	}
	scaling, err := m.Config.scaling(env.Spec())
	if err != nil {
		return m, err
	}
	if err := restoreScaling(scaling, saved); err != nil {
		return m, err
	}
	norm := frozen(scaling)
	setProgress(learner, m.Step, m.Config.Steps)
	var agent agents.Agent = learner
	if x.Stochastic {
		agent = impulsive{learner}
	}
	seed := m.Seed.Stream(streamEvalOnly)
	if x.Plot != "" {
		err = m.onPlane(ctx, x, env[0], learner, agent, norm, seed)
	} else {
		m.Evaluation, err = agents.Evaluate(ctx, env[0], agent, norm, x.Episodes, seed)
	}
	if errors.Is(err, agents.ErrLeftOut) {
		return m, fmt.Errorf("checkpoint %s was exported with --only acting: use the run that it was exported from: %w", saved.Path, err)
	}
	if err != nil {
		return m, runs.Brief(err)
	}
	warnCut(x.Log, m.Evaluation)
	if x.Video != "" {
		m.Video, err = film(ctx, x, info.ID, m.Config.Env, agent, norm, seed)
	}
	return m, err
}

// film repeats the first evaluated episode and writes it as a video. Like Evaluate, it
// truncates an episode that does not end.
func film(ctx context.Context, x Exam, run string, env Env, agent agents.Agent, norm agents.Normalizer, seed int64) (frames int, err error) {
	stage, err := env.forEval(1, true).connect(ctx, link{log: x.Log, run: run, purpose: envbridge.Video})
	if err != nil {
		return 0, runs.Brief(err)
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	bridge := stage[0]
	camera, ok := bridge.(interface {
		Render(ctx context.Context, i int) (envbridge.Picture, error)
	})
	if !ok {
		return 0, fmt.Errorf("video: %s does not support rendering", env.ID)
	}
	if r, ok := agent.(agents.Reseeder); ok {
		r.SeedGreedy(uint64(seed))
	}
	obs, err := bridge.Reset(ctx, seed)
	if err != nil {
		return 0, runs.Brief(err)
	}
	var v *video
	defer func() {
		if v != nil {
			err = errors.Join(err, v.Close())
		}
	}()
	for {
		picture, err := camera.Render(ctx, 0)
		if err != nil {
			return frames, fmt.Errorf("video: %w", runs.Brief(err))
		}
		if v == nil {
			if v, err = newVideo(ctx, x.Video, bridge.Spec().FPS, picture.Width, picture.Height); err != nil {
				return 0, err
			}
		}
		if err := v.Add(picture.RGB); err != nil {
			return frames, err
		}
		frames++
		scaled := slices.Clone(obs)
		if norm != nil {
			norm.Obs(scaled)
		}
		action, err := agent.Act(scaled, true)
		if err != nil {
			return frames, err
		}
		if err := bridge.Send(ctx, action); err != nil {
			return frames, runs.Brief(err)
		}
		step, err := bridge.Recv(ctx)
		if err != nil {
			return frames, runs.Brief(err)
		}
		ended := step.Terminated[0] || step.Truncated[0]
		if ended || bridge.Spec().MaxSteps == 0 && frames >= agents.EpisodeLimit {
			return frames, nil
		}
		obs = step.Obs
	}
}
