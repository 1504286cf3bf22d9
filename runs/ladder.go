package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stein-rl/stein/internal/regular"
	"github.com/stein-rl/stein/internal/settings"
)

// A Ladder reads configurations that extend one another: embedded ones, by name, and
// files.
type Ladder struct {
	Files   fs.FS // NAME.yaml; those in parts/ can only be extended
	Version int   // of the format; newer files are rejected
	Oldest  int   // oldest version that Migrate can convert

	// Migrate converts layers of older versions and warns once of old names; nil: no
	// conversion is needed. warn may be nil.
	Migrate func(layers []*settings.Tree, warn func(string)) error
}

// Names lists the configurations in Files, without parts.
func (l Ladder) Names() []string {
	var names []string
	// An embedded file system returns no errors.
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

// Layers reads the named configurations and all that they extend, from the lowest layer
// to the highest. Errors refer to them as whole.
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

// Reread reads the resolved configuration of a run folder and returns its path. Decode
// converts it if it is old.
func (l Ladder) Reread(dir string) (layers []*settings.Tree, path string, err error) {
	path = filepath.Join(dir, configName)
	data, err := regular.ReadFile(path)
	if err != nil {
		return nil, path, fmt.Errorf("not a run folder: %w", err)
	}
	tree, err := settings.Parse(path, data)
	if err != nil {
		return nil, path, err
	}
	// Check the version first: an older file may have keys that are unknown today.
	var version int
	if err := tree.Get("version", &version); err != nil {
		return nil, path, err
	}
	if version < l.Oldest || version > l.Version {
		return nil, path, fmt.Errorf("%s: %w", path, l.CheckVersion(version))
	}
	ours, err := settings.Set(fmt.Sprintf("version=%d", l.Version))
	return []*settings.Tree{tree.AnyKind(), ours}, path, err
}

// CheckVersion returns an error that says what to do if the format version is not
// supported.
func (l Ladder) CheckVersion(v int) error {
	switch {
	case v > l.Version:
		return fmt.Errorf("version: %d is newer than this stein supports (%d): use a newer stein", v, l.Version)
	case v < l.Version:
		return fmt.Errorf("version: %d is older than this stein supports (%d): use the version of stein that wrote it (see run.json), or copy the settings into a new file", v, l.Version)
	}
	return nil
}

// Decode fills in cfg from layers, then from assignments key=value in order, and
// validates the result. It calls warn with old names; warn may be nil.
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

// load reads a configuration and those that it extends, from the lowest layer to the
// highest. Relative file names are relative to the extending file, whose.
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
		data, err := regular.ReadFile(name)
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
	return "", nil, fmt.Errorf("unknown configuration%s (`stein configs` lists them; a file's name ends in .yaml)", near)
}

// IsFile reports whether a configuration is named by its file.
func IsFile(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}
