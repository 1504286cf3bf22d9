package experiments

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/runs"
)

//go:embed configs
var embedded embed.FS

// ladder reads configurations.
var ladder = runs.Ladder{Files: embeddedConfigs(), Version: Version, Oldest: 1, Migrate: migrateAll}

func embeddedConfigs() fs.FS {
	sub, err := fs.Sub(embedded, "configs")
	if err != nil { // the path is a constant
		panic(fmt.Sprintf("experiments: %v", err))
	}
	return sub
}

// All configurations of agents extend this part, which has all keys.
const defaults = "parts/defaults"

// Names lists the embedded configurations of agents, such as walker2d/sac.
func Names() []string {
	return slices.DeleteFunc(ladder.Names(), func(name string) bool { return strings.HasPrefix(name, imagesPrefix) })
}

// Resolve reads a configuration, embedded or a file, with everything it extends, applies
// the assignments in order, and validates the result.
func (c Catalog) Resolve(name string, sets []string) (Config, error) {
	layers, err := ladder.Layers(name, defaults, name)
	if err != nil {
		return Config{}, err
	}
	return c.decode(name, layers, sets)
}

// Reread reads the resolved configuration of a run folder.
func (c Catalog) Reread(dir string, sets []string) (Config, error) {
	layers, path, err := ladder.Reread(dir)
	if err != nil {
		return Config{}, err
	}
	cfg, err := c.decode(path, layers, sets)
	if err != nil && IsImageRun(dir) {
		return Config{}, fmt.Errorf("%s is the run of an image model: use stein ebm, serve or export", dir)
	}
	return cfg, err
}

func (c Catalog) decode(name string, layers []*settings.Tree, sets []string) (Config, error) {
	cfg := Config{}
	cfg.Policy.Of, cfg.Agent.Of, cfg.Env.inGo = c.Policies, c.Agents, c.Envs
	if err := ladder.Decode(name, &cfg, layers, sets, c.Warn); err != nil {
		return Config{}, err
	}
	return cfg, nil
}
