package experiments

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// An Actor is a run's agent without its environment, for observations from elsewhere.
// Only one goroutine at a time may use Agent and Norm.
type Actor struct {
	Dir    string
	Info   runs.Info
	Config Config
	Spec   envbridge.Spec // one copy; without a time limit; without bounds and shapes where the checkpoint has none
	Agent  agents.Learner
	Norm   agents.Normalizer // scales observations; nil: none
	At     Moment

	which string
	tried string // checkpoint that Newer tried last
}

// A Moment is an agent's state in a checkpoint.
type Moment struct {
	Step    int64
	Path    string
	weights *model.Store
	norm    agents.Normalizer
}

// OpenActor builds the agent of a run from a checkpoint: last, best, or a step. It needs
// neither Python nor the environment.
func (c Catalog) OpenActor(backend compute.Backend, dir, which string, log *slog.Logger) (*Actor, error) {
	a := &Actor{Dir: dir, which: which}
	var err error
	if a.Info, err = runs.ReadInfo(dir); err != nil {
		return nil, err
	}
	if a.Config, err = c.Reread(dir, nil); err != nil {
		return nil, err
	}
	saved, weights, err := readWeights(dir, which, log)
	if err != nil {
		return nil, err
	}
	if err := a.build(backend, saved, weights, useOf(saved, agents.ToRead)); err != nil {
		return nil, err
	}
	return a, nil
}

// build builds the agent for a use, with the weights of a checkpoint. It consumes them.
func (a *Actor) build(backend compute.Backend, saved *checkpoint.Checkpoint, weights *model.Store, use agents.Use) error {
	a.Spec = envbridge.Spec{ID: a.Config.Env.ID, Copies: 1}
	known, err := a.sizes(saved, weights)
	if err != nil {
		return fmt.Errorf("%s: %w", saved.Path, err)
	}
	known.describe(&a.Spec)
	m, err := a.moment(saved, weights)
	if err != nil {
		return err
	}
	if a.Agent, err = a.Config.learner(backend, a.Spec, a.Info.Seed, use); err != nil {
		return err
	}
	if err := a.Adopt(m); err != nil {
		a.Agent.Close()
		return fmt.Errorf("%s: %w", saved.Path, err)
	}
	return nil
}

// useOf is the use of an agent with a checkpoint's variables: use, unless the checkpoint
// has only those that acting needs.
func useOf(saved *checkpoint.Checkpoint, use agents.Use) agents.Use {
	if saved.Manifest.Only == checkpoint.Acting {
		return agents.ToPlay
	}
	return use
}

// readWeights reads the weights of a checkpoint. A training may remove the checkpoint
// meanwhile: then it has written a newer one, which is read instead.
func readWeights(dir, which string, log *slog.Logger) (saved *checkpoint.Checkpoint, weights *model.Store, err error) {
	const tries = 3
	for range tries {
		if saved, err = runs.OpenCheckpoint(dir, which, log); err != nil {
			return nil, nil, err
		}
		weights = model.NewStore()
		if err = saved.Store(agentFile, weights); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return saved, weights, err
}

// sizes returns the sizes of a checkpoint's observations and actions. The first format
// stored them only in the shapes of variables.
func (a *Actor) sizes(saved *checkpoint.Checkpoint, weights *model.Store) (s sizes, err error) {
	if saved.Has(sizesFile + ".json") {
		err := saved.JSON(sizesFile, &s)
		return s, err
	}
	reader, ok := a.Config.Agent.Value.(interface {
		Sizes(*model.Store) (obsDim, actDim int, err error)
	})
	if !ok {
		return s, fmt.Errorf("%s.json is missing: the sizes of agent %s are unknown without its environment", sizesFile, a.Config.Agent.Name)
	}
	s.ObsDim, s.ActDim, err = reader.Sizes(weights)
	return s, err
}

func (a *Actor) moment(saved *checkpoint.Checkpoint, weights *model.Store) (Moment, error) {
	m := Moment{Step: saved.Manifest.Step, Path: saved.Path, weights: weights}
	scaling, err := a.Config.scaling(a.Spec)
	if err != nil {
		return m, err
	}
	if err := restoreScaling(scaling, saved); err != nil {
		return m, err
	}
	m.norm = frozen(scaling)
	return m, nil
}

// Newer reads the run's current checkpoint if it differs from the one at the given path
// and was not tried before. It may run while another goroutine uses the agent.
func (a *Actor) Newer(than string) (m Moment, found bool, err error) {
	path, err := pointed(a.Dir, a.which)
	if err != nil || path == "" || path == than || path == a.tried {
		return m, false, err
	}
	a.tried = path
	saved, err := runs.OpenCheckpoint(a.Dir, a.which, slog.New(slog.DiscardHandler))
	if err != nil || saved.Path == than {
		return m, false, err
	}
	weights := model.NewStore()
	if err := saved.Store(agentFile, weights); err != nil {
		return m, false, err
	}
	m, err = a.moment(saved, weights)
	return m, err == nil, err
}

// pointed is the checkpoint that pick would open, by its manifest alone: sums are
// worked out only for one that is new. Empty: none can be told, or the one of a step
// is wanted, which doesn't change.
func pointed(dir, which string) (string, error) {
	entries, err := checkpoint.List(runs.Checkpoints(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	entries = slices.DeleteFunc(entries, func(e checkpoint.Entry) bool { return e.Err != nil || which == "best" && e.Manifest.Figure == nil })
	if len(entries) == 0 || which != "" && which != "last" && which != "best" {
		return "", nil
	}
	chosen := entries[len(entries)-1]
	if which == "best" {
		for _, e := range slices.Backward(entries) {
			if *e.Manifest.Figure > *chosen.Manifest.Figure {
				chosen = e
			}
		}
	}
	return chosen.Path, nil
}

// Adopt loads a moment into the agent and consumes it. A moment that does not fit changes
// nothing.
func (a *Actor) Adopt(m Moment) error {
	if err := agents.Adopt(a.Agent, m.weights); err != nil {
		return err
	}
	m.weights = nil
	a.At, a.Norm = m, m.norm
	setProgress(a.Agent, m.Step, a.Config.Steps)
	return nil
}

// setProgress sets the training progress of a Scheduled agent.
func setProgress(agent agents.Agent, step, steps int64) {
	if s, ok := agent.(agents.Scheduled); ok {
		s.SetProgress(min(1, float64(step)/float64(steps)))
	}
}

// Close frees the compiled graphs.
func (a *Actor) Close() { a.Agent.Close() }

// OpenBackend opens the backend for actors: the one named, or the default.
func OpenBackend(name string, threads int, log *slog.Logger) (compute.Backend, error) {
	backend, _, err := Engine{Backend: name, Threads: threads}.open(log)
	return backend, err
}
