package experiments

import (
	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/replay/normalize"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// scalingFile is the checkpoint's file of running statistics, .json.
const scalingFile = "normalize"

// scaling creates the running statistics of a run; nil without normalisation.
func (c Config) scaling(spec envbridge.Spec) (*normalize.Normalizer, error) {
	if !c.Normalize.Obs && !c.Normalize.Reward {
		return nil, nil
	}
	gamma, _ := c.Agent.Value.Discount()
	return normalize.New(normalize.Config{
		Obs: c.Normalize.Obs, Reward: c.Normalize.Reward, ObsDim: spec.ObsDim, Copies: spec.Copies,
		Gamma: gamma, ClipObs: c.Normalize.Clip, ClipReward: c.Normalize.Clip,
	})
}

// frozen is the fixed copy of the statistics that an evaluation uses.
func frozen(n *normalize.Normalizer) agents.Normalizer {
	if n == nil {
		return nil
	}
	return n.Frozen()
}

// restoreScaling loads a checkpoint's statistics into n.
func restoreScaling(n *normalize.Normalizer, from *checkpoint.Checkpoint) error {
	if n == nil {
		return nil
	}
	var s normalize.State
	if err := from.JSON(scalingFile, &s); err != nil {
		return err
	}
	return n.Restore(s)
}
