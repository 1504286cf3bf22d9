package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stein-rl/stein/internal/settings"
)

// A Ladder reads configurations that extend one another: those that a binary holds,
// by name, and files.
type Ladder struct {
	Files   fs.FS // NAME.yaml each; those in parts/ are made to be extended only
	Version int   // of the format: what files of a newer one say is not understood
	Oldest  int   // version that Migrate brings up to date

	// Migrate brings layers of older versions up to date, and warns of old names once;
	// nil: nothing has changed. warn may be nil.
	Migrate func(layers []*settings.Tree, warn func(string)) error
}

// Names lists the configurations that Files hold, without parts.
func (l Ladder) Names() []string {
	var names []string
	// The callback passes on errors of an embedded file system, which has none.
	_ = fs.WalkDir(l.Files, ".", func(path string, d fs.DirEntry, err error) error {
		name, isYAML := strings.CutSuffix(path, ".yaml")
		if err == nil && isYAML && !strings.HasPrefix(name, "parts/") {
			names = append(names, name)
		}
		return err
	})
	slices.Sort(names)
	return names
}

// Layers reads the configurations named and all that they extend, in the order in
// which they are laid one upon the other. whole is what errors call them together.
func (l Ladder) Layers(whole string, names ...string) ([]*settings.Tree, error) {
	var layers []*settings.Tree
	for _, name := range names {
		more, err := l.load(name, "", nil)
		if err != nil {
			return nil, fmt.Errorf("config %s: %w", whole, err)
		}
		layers = append(layers, more...)
	}
	return layers, nil
}

// Reread reads the resolved configuration of a run folder, and says where it is. Decode
// brings it up to date.
func (l Ladder) Reread(dir string) (layers []*settings.Tree, path string, err error) {
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
	if err := tree.Get("version", &version); err != nil {
		return nil, path, err
	}
	if version < l.Oldest || version > l.Version {
		return nil, path, fmt.Errorf("%s: %w", path, l.CheckVersion(version))
	}
	ours, err := settings.Set(fmt.Sprintf("version=%d", l.Version))
	return []*settings.Tree{tree.Recorded(), ours}, path, err
}

// CheckVersion refuses another version of the format, and says what to do.
func (l Ladder) CheckVersion(v int) error {
	switch {
	case v > l.Version:
		return fmt.Errorf("version: %d is newer than this stein, which reads %d: take a newer one", v, l.Version)
	case v < l.Version:
		return fmt.Errorf("version: %d is older than this stein, which reads %d: run it with the binary that wrote it (run.json names its build), or copy what you want to keep into a new file", v, l.Version)
	}
	return nil
}

// Decode fills in a configuration of some kind by layers, then by assignments
// key=value in their order, and checks the whole. warn is told of old names; it may
// be nil.
func (l Ladder) Decode(name string, cfg any, layers []*settings.Tree, sets []string, warn func(string)) error {
	var all []error
	for _, s := range sets {
		over, err := settings.Set(s)
		if err != nil {
			all = append(all, err)
			continue
		}
		layers = append(layers, over)
	}
	if l.Migrate != nil {
		all = append(all, l.Migrate(layers, warn))
	}
	all = append(all, settings.Decode(cfg, layers...))
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("config %s:\n%w", name, err)
	}
	return nil
}

// load reads a configuration and those that it extends, in the order in which they
// are laid one upon the other. Files name others relative to their own folder; whose
// is that of the one who asks.
func (l Ladder) load(name, whose string, asking []string) ([]*settings.Tree, error) {
	if slices.Contains(asking, name) {
		return nil, fmt.Errorf("extends itself: %s", strings.Join(append(asking, name), " → "))
	}
	place, data, err := l.read(name, whose)
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
		part, err := l.load(e, filepath.Dir(place), append(slices.Clip(asking), name))
		if err != nil {
			return nil, fmt.Errorf("%s: extends %s: %w", place, e, err)
		}
		layers = append(layers, part...)
	}
	return append(layers, tree), nil
}

func (l Ladder) read(name, whose string) (place string, data []byte, err error) {
	if IsFile(name) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(whose, name)
		}
		data, err := os.ReadFile(name)
		return name, data, err
	}
	data, err = fs.ReadFile(l.Files, name+".yaml")
	if err == nil {
		return name + ".yaml", data, nil
	}
	near := ""
	if n := settings.Nearest(name, l.Names()); n != "" {
		near = fmt.Sprintf("; did you mean %s?", n)
	}
	return "", nil, fmt.Errorf("no configuration of that name%s (`stein configs` lists them; a file's name ends in .yaml)", near)
}

// IsFile says whether a configuration is named by its file.
func IsFile(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}
