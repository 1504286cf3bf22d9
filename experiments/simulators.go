package experiments

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/settings"
)

// inGo is the prefix of environments in this program, as in go:NAME.
const inGo = "go:"

// OpenEnv opens the catalog's environment go:NAME in this process; kwargs set the
// simulator's exported fields.
func (c Catalog) OpenEnv(id string, kwargs map[string]any, copies, maxSteps int) (envbridge.Env, error) {
	return simulators(c.Envs).open(id, kwargs, copies, maxSteps)
}

// InProcess reports whether an id names an environment in this program.
func InProcess(id string) bool { return strings.HasPrefix(id, inGo) }

// simulators are a catalog's environments by name.
type simulators map[string]func() envbridge.Simulator

func (s simulators) open(id string, kwargs map[string]any, copies, maxSteps int) (envbridge.Env, error) {
	return envbridge.InProcess(id, func() (envbridge.Simulator, error) { return s.one(id, kwargs) }, copies, maxSteps)
}

// one creates a simulator with its settings.
func (s simulators) one(id string, kwargs map[string]any) (envbridge.Simulator, error) {
	name := strings.TrimPrefix(id, inGo)
	make, ok := s[name]
	if !ok {
		return nil, fmt.Errorf("this program has no environment %s%s", id, s.known(name))
	}
	sim := make()
	if len(kwargs) == 0 {
		return sim, nil
	}
	text, err := settings.Encode(kwargs)
	if err != nil {
		return nil, err
	}
	tree, err := settings.Parse("env.kwargs", text)
	if err != nil {
		return nil, err
	}
	return sim, settings.Decode(sim, tree)
}

func (s simulators) known(name string) string {
	names := slices.Sorted(maps.Keys(s))
	if len(names) == 0 {
		return ": it brings none; docs/adding_an_environment.md shows how"
	}
	near := settings.Nearest(name, names)
	if near != "" {
		near = "; did you mean " + inGo + near + "?"
	}
	return near + "; it has " + strings.Join(names, ", ")
}

// check reports wrong settings of an environment in this process.
func (s simulators) check(e Env) error {
	if len(e.Endpoints) > 0 || e.Hosts != "" {
		return errors.New("env: environments go:NAME run in this process: remove env.endpoints and env.hosts")
	}
	if _, err := s.one(e.ID, e.Kwargs); err != nil {
		return fmt.Errorf("env.id %s: %w", e.ID, err)
	}
	return nil
}
