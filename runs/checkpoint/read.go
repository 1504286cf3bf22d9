package checkpoint

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gomlx/gomlx/ml/model"
)

// ErrNone reports that there is no usable checkpoint below a root.
var ErrNone = errors.New("no usable checkpoint")

const (
	storeSuffix = ".safetensors"
	jsonSuffix  = ".json"
)

// A Checkpoint is a verified checkpoint on disk.
type Checkpoint struct {
	Path     string
	Manifest Manifest
	migrated map[string][]byte // converted files of an older format
}

// A Skipped is a checkpoint that Latest or Best skipped.
type Skipped struct {
	Path string
	Err  error
}

// Open reads the manifest of the checkpoint in a folder and verifies the checksums of all
// its files, which reads them once. A format that is newer, or older and not convertible,
// is a *VersionError.
func Open(path string) (*Checkpoint, error) {
	m, err := readManifest(path)
	if err != nil {
		return nil, err
	}
	if m.Format > Format || m.Format < 1 {
		return nil, &VersionError{Path: path, Found: m.Format, Readable: Format, WrittenBy: m.Stein}
	}
	if err := m.checkSizes(path); err != nil {
		return nil, err
	}
	if err := m.checkSums(path); err != nil {
		return nil, err
	}
	c := &Checkpoint{Path: path, Manifest: *m}
	if err := c.migrate(migrations, Format); err != nil {
		return nil, err
	}
	return c, nil
}

// Latest opens the checkpoint of the highest step below root; if a step has several, its
// last. If it is damaged, Latest opens the previous one and returns the skipped ones with
// the reasons, which the caller should report. A checkpoint of an unreadable format is an
// error, not skipped. If there is no usable checkpoint the error is ErrNone, if root is
// missing fs.ErrNotExist.
func Latest(root string) (*Checkpoint, []Skipped, error) {
	entries, err := List(root)
	if err != nil {
		return nil, nil, err
	}
	slices.Reverse(entries)
	return firstUsable(root, entries, nil)
}

// Best is like Latest, but opens the checkpoint with the highest figure.
func Best(root string) (*Checkpoint, []Skipped, error) {
	entries, err := List(root)
	if err != nil {
		return nil, nil, err
	}
	var skipped []Skipped
	for _, e := range entries {
		if e.Err != nil {
			skipped = append(skipped, Skipped{e.Path, e.Err})
		}
	}
	return firstUsable(root, rank(entries), skipped)
}

func firstUsable(root string, entries []Entry, skipped []Skipped) (*Checkpoint, []Skipped, error) {
	for _, e := range entries {
		err := e.Err
		if err == nil {
			var c *Checkpoint
			if c, err = Open(e.Path); err == nil {
				return c, skipped, nil
			}
		}
		if v := (*VersionError)(nil); errors.As(err, &v) {
			return nil, skipped, err
		}
		skipped = append(skipped, Skipped{e.Path, err})
	}
	if len(skipped) > 0 {
		return nil, skipped, fmt.Errorf("checkpoint: %w in %s: %d damaged, the first: %w", ErrNone, root, len(skipped), skipped[0].Err)
	}
	return nil, nil, fmt.Errorf("checkpoint: %w in %s", ErrNone, root)
}

// Has reports whether the checkpoint has a file, such as replay.bin or state.json.
func (c *Checkpoint) Has(name string) bool { return c.Manifest.find(name) != nil }

// Store sets the variables of s to those in NAME.safetensors; see ReadStore.
func (c *Checkpoint) Store(name string, s *model.Store) error {
	name += storeSuffix
	return c.File(name, func(in io.Reader) error { return ReadStore(in, c.size(name), s) })
}

// JSON decodes NAME.json into v. A field that v lacks is an error, because the next
// checkpoint would lose it.
func (c *Checkpoint) JSON(name string, v any) error {
	return c.File(name+jsonSuffix, func(in io.Reader) error {
		d := json.NewDecoder(in)
		d.DisallowUnknownFields()
		return d.Decode(v)
	})
}

// File calls read with a buffered reader of a file.
func (c *Checkpoint) File(name string, read func(io.Reader) error) error {
	if !c.Has(name) {
		return fmt.Errorf("checkpoint: %s has no %s: %w", c.Path, name, fs.ErrNotExist)
	}
	if data, ok := c.migrated[name]; ok {
		return c.wrap(name, read(bytes.NewReader(data)))
	}
	in, err := os.Open(filepath.Join(c.Path, name))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer in.Close()
	return c.wrap(name, read(bufio.NewReaderSize(in, 1<<20)))
}

// size is the size of a file as File reads it.
func (c *Checkpoint) size(name string) int64 {
	if data, ok := c.migrated[name]; ok {
		return int64(len(data))
	}
	return c.Manifest.find(name).Size
}

func (c *Checkpoint) wrap(name string, err error) error {
	if err != nil {
		return fmt.Errorf("checkpoint: reading %s: %w", filepath.Join(c.Path, name), err)
	}
	return nil
}
