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

// ErrNone says that there is no usable checkpoint below a root.
var ErrNone = errors.New("no usable checkpoint")

const (
	storeSuffix = ".safetensors"
	jsonSuffix  = ".json"
)

// A Checkpoint is a verified checkpoint on disk.
type Checkpoint struct {
	Path     string
	Manifest Manifest
	migrated map[string][]byte // files of an older format, as they read in this one
}

// A Skipped is a checkpoint that Latest or Best did not take.
type Skipped struct {
	Path string
	Err  error
}

// Open reads the manifest of the checkpoint in a folder and verifies the sums of
// all of its files, which takes a pass over them. A checkpoint of a newer format,
// or of an older one that can't be brought up to date, is a *VersionError.
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

// Latest opens the checkpoint of the highest step below root, of several of one
// step the last. Where that one is damaged it takes the one before, and says
// which were skipped and why: the caller should tell the user. A checkpoint of
// another format is not skipped but an error. No usable checkpoint is ErrNone,
// a missing root fs.ErrNotExist.
func Latest(root string) (*Checkpoint, []Skipped, error) {
	entries, err := List(root)
	if err != nil {
		return nil, nil, err
	}
	slices.Reverse(entries)
	return firstUsable(root, entries, nil)
}

// Best opens the checkpoint with the highest figure, as Latest does the last.
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

// Has says whether the checkpoint has a file, such as replay.bin or state.json.
func (c *Checkpoint) Has(name string) bool { return c.Manifest.find(name) != nil }

// Store sets the variables of s to those in NAME.safetensors, as ReadStore does.
func (c *Checkpoint) Store(name string, s *model.Store) error {
	name += storeSuffix
	return c.File(name, func(in io.Reader) error { return ReadStore(in, c.size(name), s) })
}

// JSON decodes NAME.json into v. A field that v does not have is an error: it
// would be lost with the next checkpoint.
func (c *Checkpoint) JSON(name string, v any) error {
	return c.File(name+jsonSuffix, func(in io.Reader) error {
		d := json.NewDecoder(in)
		d.DisallowUnknownFields()
		return d.Decode(v)
	})
}

// File has read read a file, from its start and through a buffer.
func (c *Checkpoint) File(name string, read func(io.Reader) error) error {
	if !c.Has(name) {
		return fmt.Errorf("checkpoint: %s holds no %s: %w", c.Path, name, fs.ErrNotExist)
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

// size of a file as File reads it.
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
