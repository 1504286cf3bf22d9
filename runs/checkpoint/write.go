package checkpoint

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gomlx/gomlx/ml/model"
)

// tempPrefix marks folders that are being written or removed. Readers ignore them, and
// the next Write deletes them.
const tempPrefix = ".tmp-"

// A Writer writes the files of one checkpoint. Its methods must be called from the
// function passed to Write, one at a time.
type Writer struct {
	dir      string
	manifest Manifest
}

// Write creates the checkpoint of a step below root and returns its folder. It creates
// root if it is missing; fill writes the files. If anything fails, such as fill or a full
// disk, Write removes what was written and leaves the existing checkpoints as they are.
//
// Files and folders are synced before the final rename, so that a visible checkpoint
// survives a power cut. Only one process may write below a root at a time. A second
// checkpoint of the same step gets its own folder, and Latest prefers it.
func Write(root string, step int64, fill func(w *Writer) error) (path string, err error) {
	if step < 0 {
		return "", fmt.Errorf("checkpoint: step %d: want at least 0", step)
	}
	if err := makeRoot(root); err != nil {
		return "", err
	}
	if err := clearTemp(root); err != nil {
		return "", err
	}
	name, err := freeName(root, step)
	if err != nil {
		return "", err
	}
	temp := filepath.Join(root, tempPrefix+name)
	if err := os.Mkdir(temp, 0o777); err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()

	w := &Writer{dir: temp, manifest: Manifest{
		Format: Format, Stein: buildVersion(), Step: step, Time: time.Now().UTC(),
	}}
	if err := fill(w); err != nil {
		return "", err
	}
	if err := w.finish(); err != nil {
		return "", err
	}
	path = filepath.Join(root, name)
	if err := os.Rename(temp, path); err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	if err := syncDir(root); err != nil {
		return path, err
	}
	return path, nil
}

// Store writes all variables of s, of any type and trained or not, to NAME.safetensors.
// Every variable must have a value.
func (w *Writer) Store(name string, s *model.Store) error {
	return w.File(name+storeSuffix, func(out io.Writer) error { return WriteStore(out, s) })
}

// JSON writes v to NAME.json.
func (w *Writer) JSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("checkpoint: %s.json: %w", name, err)
	}
	return w.File(name+jsonSuffix, func(out io.Writer) error {
		_, err := out.Write(append(data, '\n'))
		return err
	})
}

// File writes a file of any content and size; writes are buffered.
func (w *Writer) File(name string, write func(io.Writer) error) (err error) {
	if !fileName.MatchString(name) || name == manifestName || w.manifest.find(name) != nil {
		return fmt.Errorf("checkpoint: file name %q is already used or not allowed", name)
	}
	f, err := createSynced(filepath.Join(w.dir, name), write)
	if err != nil {
		return err
	}
	f.Name = name
	w.manifest.Files = append(w.manifest.Files, f)
	return nil
}

// Figure sets how good the run is at this step, such as the mean return of an evaluation;
// larger is better. A figure that is not finite counts as unknown.
func (w *Writer) Figure(value float64) {
	w.manifest.Figure = nil
	if !math.IsNaN(value) && !math.IsInf(value, 0) {
		w.manifest.Figure = &value
	}
}

// Only records what the checkpoint is reduced to; see Manifest.
func (w *Writer) Only(what string) { w.manifest.Only = what }

// Size is the number of bytes written so far.
func (w *Writer) Size() int64 { return w.manifest.Size() }

// finish writes the manifest and syncs the folder.
func (w *Writer) finish() error {
	data, err := json.MarshalIndent(w.manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("checkpoint: %s: %w", manifestName, err)
	}
	_, err = createSynced(filepath.Join(w.dir, manifestName), func(out io.Writer) error {
		_, err := out.Write(append(data, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	return syncDir(w.dir)
}

// createSynced writes a file through a buffer, syncs it, and computes its checksum.
func createSynced(path string, write func(io.Writer) error) (f File, err error) {
	fail := func(err error) (File, error) {
		return File{}, fmt.Errorf("checkpoint: writing %s: %w", filepath.Base(path), err)
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fail(err)
	}
	defer out.Close() // a second Close, after the one below, is harmless
	sum := &summed{to: out, hash: sha256.New()}
	buffer := bufio.NewWriterSize(sum, 1<<20)
	if err := write(buffer); err != nil {
		return fail(err)
	}
	if err := buffer.Flush(); err != nil {
		return fail(err)
	}
	if err := out.Sync(); err != nil {
		return fail(err)
	}
	if err := out.Close(); err != nil {
		return fail(err)
	}
	return File{Size: sum.n, SHA256: hex.EncodeToString(sum.hash.Sum(nil))}, nil
}

// summed counts and hashes what is written through it.
type summed struct {
	to   io.Writer
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	n int64
}

func (s *summed) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	return n, err
}

func makeRoot(root string) error {
	if _, err := os.Stat(root); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := os.MkdirAll(root, 0o777); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return syncDir(filepath.Dir(root))
}

// clearTemp removes the temporary folders of killed writers.
func clearTemp(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(root, e.Name())); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
	}
	return nil
}

// syncDir syncs the entries of a folder, on systems that support it.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("checkpoint: syncing %s: %w", dir, err)
	}
	return nil
}
