package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// An Entry is a checkpoint below a root, as described by its manifest and file sizes. Its
// content has not been verified.
type Entry struct {
	Path     string
	Manifest Manifest
	// Err says why the checkpoint is unusable; Manifest is then empty.
	Err error

	step, serial int64 // parsed from the folder's name
}

// folderName matches step-000100000, and step-000100000.2 for the second checkpoint of
// that step.
var folderName = regexp.MustCompile(`^step-([0-9]{9,18})(?:\.([0-9]{1,9}))?$`)

// List returns the checkpoints below root, oldest step first. A root that does
// not exist is an error that wraps fs.ErrNotExist.
func List(root string) ([]Entry, error) {
	folders, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	var entries []Entry
	for _, f := range folders {
		m := folderName.FindStringSubmatch(f.Name())
		if m == nil || !f.IsDir() {
			continue
		}
		e := Entry{Path: filepath.Join(root, f.Name()), serial: 1}
		e.step, _ = strconv.ParseInt(m[1], 10, 64)
		if m[2] != "" {
			e.serial, _ = strconv.ParseInt(m[2], 10, 64)
		}
		e.Err = e.read()
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.serial, b.serial))
	})
	return entries, nil
}

func (e *Entry) read() error {
	m, err := readManifest(e.Path)
	if err != nil {
		return err
	}
	if m.Step != e.step {
		return fmt.Errorf("checkpoint: %s has step %d, which does not match the folder's name", filepath.Join(e.Path, manifestName), m.Step)
	}
	if err := m.checkSizes(e.Path); err != nil {
		return err
	}
	e.Manifest = *m
	return nil
}

// freeName returns an unused name for a checkpoint of a step.
func freeName(root string, step int64) (string, error) {
	name := fmt.Sprintf("step-%09d", step)
	for i := 2; ; i++ {
		_, err := os.Lstat(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", fmt.Errorf("checkpoint: %w", err)
		}
		name = fmt.Sprintf("step-%09d.%d", step, i)
	}
}

// Prune removes the checkpoints below root except the last keep ones and the best best
// ones by figure. If a step has several checkpoints, only its last counts. Damaged
// checkpoints are never kept once a usable one of a later step is. Prune returns the
// removed folders.
func Prune(root string, keep, best int) (removed []string, err error) {
	if keep < 1 || best < 0 {
		return nil, fmt.Errorf("checkpoint: cannot keep the last %d and the best %d: at least the last one must be kept", keep, best)
	}
	entries, err := List(root)
	if err != nil {
		return nil, err
	}
	kept := keptOf(entries, keep, best)
	newest := int64(-1)
	for _, e := range entries {
		if kept[e.Path] {
			newest = max(newest, e.step)
		}
	}
	for _, e := range entries {
		if kept[e.Path] || (e.Err != nil && e.step >= newest) {
			continue
		}
		if err := remove(e.Path); err != nil {
			return removed, err
		}
		removed = append(removed, e.Path)
	}
	return removed, nil
}

// keptOf chooses the folders to keep.
func keptOf(entries []Entry, keep, best int) map[string]bool {
	var usable []Entry // the last of each step, oldest first
	for _, e := range entries {
		if e.Err != nil {
			continue
		}
		if n := len(usable); n > 0 && usable[n-1].step == e.step {
			usable = usable[:n-1]
		}
		usable = append(usable, e)
	}
	kept := map[string]bool{}
	for _, e := range usable[max(0, len(usable)-keep):] {
		kept[e.Path] = true
	}
	ranked := rank(usable)
	for _, e := range ranked[:min(best, len(ranked))] {
		kept[e.Path] = true
	}
	return kept
}

// rank sorts the usable entries that have a figure, best first; of equal ones the later
// is first.
func rank(entries []Entry) []Entry {
	ranked := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool {
		return e.Err != nil || e.Manifest.Figure == nil
	})
	slices.Reverse(ranked)
	slices.SortStableFunc(ranked, func(a, b Entry) int {
		return cmp.Compare(*b.Manifest.Figure, *a.Manifest.Figure)
	})
	return ranked
}

// remove removes a checkpoint: it renames the folder before it deletes the files.
func remove(path string) error {
	temp := filepath.Join(filepath.Dir(path), tempPrefix+"removed-"+filepath.Base(path))
	if err := os.Rename(path, temp); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := os.RemoveAll(temp); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
