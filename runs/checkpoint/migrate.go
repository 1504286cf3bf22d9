package checkpoint

import "fmt"

// A migration converts the files of one format to the next. It stores the changed files
// in c.migrated and leaves the folder as it is.
type migration func(c *Checkpoint) error

// migrations are indexed by the format that they start from. Format 1 is the first.
var migrations = map[int]migration{}

// migrate converts c to a format, one version at a time.
func (c *Checkpoint) migrate(table map[int]migration, to int) error {
	for from := c.Manifest.Format; from < to; from++ {
		step, ok := table[from]
		if !ok {
			return &VersionError{Path: c.Path, Found: c.Manifest.Format, Readable: to, WrittenBy: c.Manifest.Stein}
		}
		if err := step(c); err != nil {
			return fmt.Errorf("checkpoint: converting %s from format %d to %d: %w", c.Path, from, from+1, err)
		}
	}
	return nil
}
