// Package experiments turns configurations into runs: it knows every part by name,
// builds them, and keeps a run's folder.
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

// Version is that of the configuration's format. A run folder keeps it; it grows
// when a key changes its meaning or its name.
const Version = 2

// A Config is one run's settings, all of them: what configs/parts/defaults.yaml
// explains key by key.
type Config struct {
	Version int
	About   string     // one line for `stein configs`
	Seed    *runs.Seed // nil: drawn, and printed
	Steps   int64      `want:">= 1"` // environment steps in all

	Env       Env
	Policy    settings.Kind[policies.Policy] // none: the agent brings its own
	Agent     settings.Kind[agents.Maker]
	Schedule  agents.Schedule
	Replay    Replay
	Normalize Normalize

	Eval       Eval
	Checkpoint Checkpoint
	Log        Log
	Engine     Engine
}

// Env says which environment is stepped, and where.
type Env struct {
	ID     string         // Gymnasium id, package:id to import a package first, or go:NAME of the catalog
	Kwargs map[string]any // passed on to gymnasium.make

	MaxSteps int `want:">= 0"` // time limit of episodes; 0: the registered one

	Workers   int      `want:">= 1"` // processes
	Copies    int      `want:">= 1"` // of the environment in each
	Endpoints []string // tcp://host:port of workers already running, in place of local ones
	Key       string   // file of the client's CURVE keys, for endpoints beyond this machine

	Hosts      string         // Ray cluster that places the processes on its nodes, in place of local ones
	RuntimeEnv map[string]any // of Ray's, for nodes that lack something: pip, env_vars, …

	Timeout      time.Duration  // of a step, then the worker counts as hung; 0: a minute
	StartTimeout time.Duration  // of a worker's start; 0: a minute for each of its copies
	render       bool           // pictures are wanted
	host         envbridge.Host // of Hosts; nil: not opened, processes are local
	role         string         // begins the names of workers that a host places
	inGo         simulators     // of the catalog
}

// PlaceOn has the processes placed by a host.
func (e *Env) PlaceOn(h envbridge.Host) { e.host = h }

// Replay says what is remembered.
type Replay struct {
	Kind     string  `want:"uniform|prioritized"`
	Capacity int     `want:">= 1"`
	Exponent float64 `want:">= 0, <= 1"` // of priorities; prioritized only
	Weight   float64 `want:">= 0, <= 1"` // importance weights' exponent at the start; prioritized only
}

// Normalize says what is brought to zero mean and unit scale by running statistics.
type Normalize struct {
	Obs    bool
	Reward bool
	Clip   float64 `want:"> 0"` // what is normalised stays in [−Clip, Clip]
}

// Eval says how often and how long the agent is measured while it trains.
type Eval struct {
	Every    int64 `want:">= 0"` // environment steps; 0: never, not even at the end
	Episodes int   `want:">= 1"`
}

// Checkpoint says what is kept.
type Checkpoint struct {
	Every  int64 `want:">= 0"` // environment steps; 0: only at the end
	Keep   int   `want:">= 1"` // the newest ones; the best by evaluation is kept besides
	Replay bool  // with the replay memory: without it a resumed run starts from an empty one
	Exact  bool  // episodes begin anew at each, so that a run that was killed equals one that wasn't
}

// Log says how often figures are written.
type Log struct {
	Every int64 `want:">= 1"` // environment steps
}

// Engine says what computes.
type Engine struct {
	Backend string // such as xla:cuda; empty: found by itself
	Threads int    `want:">= 0"` // 0: every processor
}

// RunSeed is the seed, which a run has been given by now.
func (c Config) RunSeed() runs.Seed { return *c.Seed }

// Validate says which settings contradict each other.
func (c Config) Validate() error {
	var all []error
	if err := ladder.CheckVersion(c.Version); err != nil {
		all = append(all, err)
	}
	if c.Env.ID == "" {
		all = append(all, errors.New("env.id: which environment? Such as Walker2d-v5"))
	}
	if InProcess(c.Env.ID) {
		all = append(all, c.Env.inGo.check(c.Env))
	}
	if c.Env.Hosts != "" && len(c.Env.Endpoints) > 0 {
		all = append(all, errors.New("env.hosts and env.endpoints: workers are either placed, or there already"))
	}
	if c.Replay.Capacity < c.Schedule.BatchSize {
		all = append(all, fmt.Errorf("replay.capacity: %d holds no batch of %d", c.Replay.Capacity, c.Schedule.BatchSize))
	}
	if c.Agent.Value == nil {
		all = append(all, errors.New("agent.kind: which learner? Such as sac"))
	} else if err := c.Agent.Value.Check(c.Policy.Value); err != nil {
		all = append(all, fmt.Errorf("agent %s: %w", c.Agent.Name, err))
	}
	if copies := c.Env.Workers * c.Env.Copies; copies > c.Replay.Capacity/2 {
		all = append(all, fmt.Errorf("replay.capacity: %d for %d copies of the environment", c.Replay.Capacity, copies))
	}
	return errors.Join(all...)
}
