package report

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Find lists the run folders among dirs and up to 4 levels below. A dir is a run folder,
// a sweep's folder, or the folder of all runs. Find follows links and visits each folder
// once. It includes damaged run folders. left are the folders that cannot be read and
// the dirs without a run; if no dir has one, that is an error.
func Find(dirs ...string) (found []string, left []Left, err error) {
	var without error // the first dir without a run
	for _, dir := range dirs {
		l := looking{seen: map[string]bool{}}
		_, err := os.Stat(dir)
		if err != nil {
			err = fmt.Errorf("cannot read run folder %s: %w", dir, err)
		} else if l.below(dir, deepest); len(l.found) == 0 && len(l.left) == 0 {
			err = fmt.Errorf("no run.json in %s or below it", dir)
		}
		if err != nil {
			without = cmp.Or(without, err)
			l.left = append(l.left, Left{dir, err.Error()})
		}
		found, left = append(found, l.found...), append(left, l.left...)
	}
	if len(found) == 0 && without != nil {
		return nil, nil, fmt.Errorf("report: %w", without)
	}
	slices.Sort(found)
	return slices.Compact(found), left, nil
}

// Unreadable lists the folders among dirs and below them that can't be read, and the
// run folders that are damaged, each with the reason.
func Unreadable(dirs ...string) ([]Left, error) {
	found, left, err := Find(dirs...)
	if err != nil {
		return nil, err
	}
	for _, dir := range found {
		if _, err := ReadRun(dir); err != nil {
			left = append(left, Left{dir, err.Error()})
		}
	}
	return left, nil
}

// deepest is how far below a folder runs are looked for.
const deepest = 4

// A looking is a search in progress.
type looking struct {
	seen  map[string]bool // by real path: links may form cycles
	found []string
	left  []Left
}

func (l *looking) below(dir string, depth int) {
	whole, err := filepath.EvalSymlinks(dir)
	if err == nil {
		whole, err = filepath.Abs(whole)
	}
	if err != nil || l.seen[whole] { // skip broken links
		return
	}
	l.seen[whole] = true
	if isRun(dir) {
		l.found = append(l.found, dir)
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.left = append(l.left, Left{dir, err.Error()})
		return
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); depth > 1 && err == nil && info.IsDir() {
			l.below(path, depth-1)
		}
	}
}

// isRun reports whether a folder is a run folder, possibly without run.json.
func isRun(dir string) bool {
	there := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
	return there("run.json") || there("config.yaml") && (there("metrics.csv") || there("checkpoints"))
}
