package experiments

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// An Import is an agent trained by another program, to be turned into a run.
type Import struct {
	Config         Config
	ObsDim, ActDim int
	Step           int64                      // environment steps so far
	Updates        uint64                     // gradient steps
	Weights        map[string]*tensors.Tensor // by variable path of the learner
	Command        []string                   // as the user typed it, for the record
}

// Run writes the agent to the folder created by make, as a run with a checkpoint at Step,
// and returns the checkpoint's path. It calls make only after it has checked that the
// weights fit the configuration.
func (i Import) Run(backend compute.Backend, log *slog.Logger, make func() (*runs.Folder, error)) (path string, err error) {
	c := i.Config
	if c.Normalize.Obs || c.Normalize.Reward {
		return "", errors.New("import: imported agents have no normalisation statistics: set normalize.obs and normalize.reward to false")
	}
	spec := envbridge.Spec{ID: c.Env.ID, Copies: 1, ObsDim: i.ObsDim, ActDim: i.ActDim}
	agent, err := c.learner(backend, spec, *c.Seed, agents.ToKeep)
	if err != nil {
		return "", err
	}
	defer agent.Close()
	taker, ok := agent.(interface {
		SetWeights(map[string]*tensors.Tensor) error
	})
	if !ok {
		return "", fmt.Errorf("import: an agent of kind %s cannot import weights", c.Agent.Name)
	}
	if err := taker.SetWeights(i.Weights); err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	if counters, ok := agent.State().(*agents.Counters); ok {
		counters.Updates = i.Updates
	}

	folder, err := make()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	path, err = checkpoint.Write(folder.Checkpoints(), i.Step, func(w *checkpoint.Writer) error {
		return errors.Join(writeAgent(w, agent, spec), w.JSON(loopFile, agents.LoopState{Step: i.Step}))
	})
	if err != nil {
		return "", err
	}
	log.Info("imported", "folder", folder.Dir, "checkpoint", path, "step", i.Step)
	return path, folder.Begin(runs.Session{Command: i.Command, Started: time.Now(), FromStep: i.Step, Backend: backend.Name(), Build: runs.ThisBuild()})
}
