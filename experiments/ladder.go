package experiments

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stein-rl/stein/internal/settings"
)

//go:embed configs
var embedded embed.FS

// Every configuration stands on this part, which has all keys.
const defaults = "parts/defaults"

// Names lists the embedded configurations of agents, such as walker2d/sac.
func Names() []string {
	return slices.DeleteFunc(allNames(), func(name string) bool { return strings.HasPrefix(name, imagesPrefix) })
}

// allNames are those of the embedded configurations of all kinds.
func allNames() []string {
	var names []string
	fs.WalkDir(embedded, "configs", func(path string, d fs.DirEntry, err error) error {
		name, isYAML := strings.CutSuffix(strings.TrimPrefix(path, "configs/"), ".yaml")
		if err == nil && isYAML && !strings.HasPrefix(name, "parts/") {
			names = append(names, name)
		}
		return err
	})
	slices.Sort(names)
	return names
}

// Resolve reads a configuration, embedded or a file, with everything it extends,
// lays the assignments over it in their order, and checks the whole.
func (c Catalog) Resolve(name string, sets []string) (Config, error) {
	layers, err := loadAll(name, defaults, name)
	if err != nil {
		return Config{}, err
	}
	return c.decode(name, layers, sets)
}

// Reread reads the resolved configuration of a run folder.
func (c Catalog) Reread(dir string, sets []string) (Config, error) {
	layers, path, err := reread(dir)
	if err != nil {
		return Config{}, err
	}
	return c.decode(path, layers, append([]string{fmt.Sprintf("version=%d", Version)}, sets...))
}

// reread is the configuration of a run folder, without its version, which is ours.
func reread(dir string) (layers []*settings.Tree, path string, err error) {
	path = filepath.Join(dir, configName)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, path, fmt.Errorf("no run folder: %w", err)
	}
	tree, err := settings.Parse(path, data)
	if err != nil {
		return nil, path, err
	}
	// An older version may have keys that are unknown today: look at it first.
	var version int
	if err := tree.Take("version", &version); err != nil {
		return nil, path, err
	}
	if version != Version && version != 1 {
		return nil, path, fmt.Errorf("%s: %w", path, versionError(version))
	}
	if version == 1 {
		tree.Default("agent.kind", "sac")
	}
	return []*settings.Tree{tree}, path, nil
}

func (c Catalog) decode(name string, layers []*settings.Tree, sets []string) (Config, error) {
	cfg := Config{}
	cfg.Policy.Of, cfg.Agent.Of, cfg.Env.inGo = c.Policies, c.Agents, c.Envs
	if err := decode(name, &cfg, layers, sets, c.Warn); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// decode fills in a configuration of some kind by layers and assignments.
func decode(name string, cfg any, layers []*settings.Tree, sets []string, warn func(string)) error {
	var all []error
	for _, s := range sets {
		over, err := settings.Set(s)
		if err != nil {
			all = append(all, err)
			continue
		}
		layers = append(layers, over)
	}
	all = append(all, migrateAll(layers, warn), settings.Decode(cfg, layers...))
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("config %s:\n%w", name, err)
	}
	return nil
}

// loadAll loads several, one upon the other; the first is a part of ours.
func loadAll(whole string, names ...string) ([]*settings.Tree, error) {
	var layers []*settings.Tree
	for _, name := range names {
		more, err := load(name, "", nil)
		if err != nil {
			return nil, fmt.Errorf("config %s: %w", whole, err)
		}
		layers = append(layers, more...)
	}
	return layers, nil
}

// load reads a configuration and those that it extends, in the order in which they
// are laid one upon the other. Files name others relative to their own folder; whose
// is that of the one who asks.
func load(name, whose string, asking []string) ([]*settings.Tree, error) {
	if slices.Contains(asking, name) {
		return nil, fmt.Errorf("extends itself: %s", strings.Join(append(asking, name), " → "))
	}
	place, data, err := read(name, whose)
	if err != nil {
		return nil, err
	}
	tree, err := settings.Parse(place, data)
	if err != nil {
		return nil, err
	}
	var extends []string
	if err := tree.Take("extends", &extends); err != nil {
		return nil, err
	}
	var layers []*settings.Tree
	for _, e := range extends {
		part, err := load(e, filepath.Dir(place), append(slices.Clip(asking), name))
		if err != nil {
			return nil, fmt.Errorf("%s: extends %s: %w", place, e, err)
		}
		layers = append(layers, part...)
	}
	return append(layers, tree), nil
}

func read(name, whose string) (place string, data []byte, err error) {
	if isFile(name) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(whose, name)
		}
		data, err := os.ReadFile(name)
		return name, data, err
	}
	data, err = fs.ReadFile(embedded, "configs/"+name+".yaml")
	if err == nil {
		return name + ".yaml", data, nil
	}
	near := ""
	if n := settings.Nearest(name, allNames()); n != "" {
		near = fmt.Sprintf("; did you mean %s?", n)
	}
	return "", nil, fmt.Errorf("no configuration of that name%s (`stein configs` lists them; a file's name ends in .yaml)", near)
}

func isFile(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}
