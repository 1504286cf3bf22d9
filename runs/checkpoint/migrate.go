package checkpoint

import "fmt"

// A migration reads the files of one format and gives them as the next format
// has them: it puts what changes into c.migrated, whole. The folder stays as it is.
type migration func(c *Checkpoint) error

// migrations, by the format that they start from. Format 1 is the first.
var migrations = map[int]migration{}

// migrate brings c up to a format, one version after the other.
func (c *Checkpoint) migrate(table map[int]migration, to int) error {
	for from := c.Manifest.Format; from < to; from++ {
		step, ok := table[from]
		if !ok {
			return &VersionError{Path: c.Path, Found: c.Manifest.Format, Readable: to, WrittenBy: c.Manifest.Stein}
		}
		if err := step(c); err != nil {
			return fmt.Errorf("checkpoint: bringing %s from format %d to %d: %w", c.Path, from, from+1, err)
		}
	}
	return nil
}
