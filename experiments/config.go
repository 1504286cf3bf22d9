// Package experiments turns configurations into runs: it builds every part by name and
// manages the run's folder.
package experiments

import (
	"errors"
	"fmt"
	"time"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/runs"
)

// Version is the version of the configuration format, stored in run folders. It is
// incremented when a key changes its name or meaning.
const Version = 2

// A Config holds all settings of one run. configs/parts/defaults.yaml explains each key.
type Config struct {
	Version int
	About   string     // one-line description for `stein configs`
	Seed    *runs.Seed // nil: drawn, and printed
	Steps   int64      `want:">= 1"` // total environment steps

	Env       Env
	Policy    settings.Kind[policies.Policy] // none: the agent has its own
	Agent     settings.Kind[agents.Maker]
	Schedule  agents.Schedule
	Replay    Replay
	Normalize Normalize

	Eval       Eval
	Checkpoint Checkpoint
	Log        Log
	Engine     Engine
}

// Env selects the environment and where it runs.
type Env struct {
	ID     string         // Gymnasium id, package:id to import a package first, or go:NAME from the catalog
	Kwargs map[string]any // arguments of gymnasium.make

	MaxSteps int `want:">= 0, <= 2147483647"` // time limit of episodes; 0: the registered limit

	Workers   int      `want:">= 1, <= 1024"` // processes
	Copies    int      `want:">= 1"`          // copies of the environment per worker
	Endpoints []string // tcp://host:port of running workers, instead of local ones
	Key       string   // file of the client's CURVE keys, for remote endpoints

	Hosts      string         // Ray cluster that runs the workers, instead of this machine
	RuntimeEnv map[string]any // Ray's runtime_env for its nodes: pip, env_vars, …

	Timeout      time.Duration  `want:">= 0"` // of a step; a slower worker counts as hung; 0: one minute
	StartTimeout time.Duration  `want:">= 0"` // of a worker's start; 0: one minute per copy
	render       bool           // images are needed
	host         envbridge.Host // opened from Hosts; nil: local workers
	inGo         simulators     // from the catalog
}

// PlaceOn makes a host run the workers.
func (e *Env) PlaceOn(h envbridge.Host) { e.host = h }

// Replay configures the replay memory. In YAML, keys of another kind are errors.
type Replay struct {
	Kind     string  `want:"uniform|prioritized"`
	Capacity int     `want:">= 1"`
	Exponent float64 `kinds:"prioritized" default:"0.6" want:">= 0, <= 1"` // of priorities
	Weight   float64 `kinds:"prioritized" default:"0.4" want:">= 0, <= 1"` // initial exponent of importance weights
}

// Normalise selects what is scaled to zero mean and unit variance by running statistics.
type Normalize struct {
	Obs    bool
	Reward bool
	Clip   float64 `want:"> 0"` // normalised values are clipped to [−Clip, Clip]
}

// Eval configures evaluations during training.
type Eval struct {
	Every    int64 `want:">= 0"` // environment steps; 0: never, not even at the end
	Episodes int   `want:">= 1"`
	Video    bool  // stein train films an episode of the best checkpoint at its end
}

// Checkpoint configures checkpoints.
type Checkpoint struct {
	Every  int64 `want:">= 0"` // environment steps; 0: only at the end
	Keep   int   `want:">= 1"` // number of newest checkpoints; the best by evaluation is kept as well
	Replay bool  // include the replay memory; otherwise a resumed run starts with an empty one
	Exact  bool  // start new episodes at each checkpoint, so that a resumed run equals an uninterrupted one
}

// Log configures how often metrics are written.
type Log struct {
	Every int64 `want:">= 1"` // environment steps
}

// Engine configures the backend.
type Engine struct {
	Backend string // such as xla:cuda; empty: chosen automatically
	Threads int    `want:">= 0, <= 1024"` // 0: all processors
}

// RunSeed is the seed, which is set once the run exists.
func (c Config) RunSeed() runs.Seed { return *c.Seed }

// Validate reports contradictory settings.
func (c Config) Validate() error {
	var all []error
	if err := ladder.CheckVersion(c.Version); err != nil {
		all = append(all, err)
	}
	if c.Env.ID == "" {
		all = append(all, errors.New("env.id is missing: set an environment such as Walker2d-v5"))
	}
	if InProcess(c.Env.ID) {
		all = append(all, c.Env.inGo.check(c.Env))
	}
	if c.Env.Hosts != "" && len(c.Env.Endpoints) > 0 {
		all = append(all, errors.New("env.hosts and env.endpoints: set only one of them"))
	}
	if c.Replay.Capacity < c.Schedule.BatchSize {
		all = append(all, fmt.Errorf("replay.capacity: %d is smaller than a batch of %d", c.Replay.Capacity, c.Schedule.BatchSize))
	}
	if c.Agent.Value == nil {
		all = append(all, errors.New("agent.kind is missing: set a learner such as sac"))
	} else if err := c.Agent.Value.Check(c.Policy.Value); err != nil {
		all = append(all, fmt.Errorf("agent %s: %w", c.Agent.Name, err))
	}
	if copies := c.Env.Workers * c.Env.Copies; copies > c.Replay.Capacity/2 {
		all = append(all, fmt.Errorf("replay.capacity: %d is too small for %d copies of the environment", c.Replay.Capacity, copies))
	}
	return errors.Join(all...)
}
