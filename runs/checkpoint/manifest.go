package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"github.com/stein-rl/stein/internal/regular"
	"github.com/stein-rl/stein/internal/settings"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"time"
)

// Format is the version of the format that this package writes. It is incremented when a
// file of a checkpoint changes its meaning, together with a new entry in migrations.
const Format = 1

// Acting is the Only of a checkpoint that has just the variables that actions need.
const Acting = "acting"

const manifestName = "manifest.json"

// A Manifest describes a checkpoint.
type Manifest struct {
	Format int       `json:"format"`
	Stein  string    `json:"stein"` // version of the program that wrote it
	Step   int64     `json:"step"`  // environment steps
	Time   time.Time `json:"time"`
	// Only says what the checkpoint is reduced to, such as Acting; empty: nothing is left out.
	Only string `json:"only,omitempty"`
	// Figure is what Best and Prune rank by, larger is better; nil: unknown.
	Figure *float64 `json:"figure,omitempty"`
	Files  []File   `json:"files"`
}

// A File is one file of a checkpoint.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// Size is the number of bytes of all files.
func (m Manifest) Size() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// find returns the entry of a file, or nil.
func (m *Manifest) find(name string) *File {
	for i := range m.Files {
		if m.Files[i].Name == name {
			return &m.Files[i]
		}
	}
	return nil
}

// A VersionError reports a checkpoint of a format that this program cannot read.
type VersionError struct {
	Path            string
	Found, Readable int    // formats
	WrittenBy       string // version of Stein
}

func (e *VersionError) Error() string {
	if e.Found > e.Readable {
		return fmt.Sprintf("checkpoint: %s has format %d (written by stein %s), this stein reads up to format %d: use that version or a newer one",
			e.Path, e.Found, e.WrittenBy, e.Readable)
	}
	return fmt.Sprintf("checkpoint: %s has format %d (written by stein %s), this stein reads format %d and cannot convert the older one: use that version",
		e.Path, e.Found, e.WrittenBy, e.Readable)
}

// fileName is the pattern of allowed file names: no folders, no hidden files.
var fileName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// readManifest reads and validates the manifest of the checkpoint in dir. It does not
// check the files.
func readManifest(dir string) (*Manifest, error) {
	data, err := regular.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
		return nil, fmt.Errorf("checkpoint: %s is not a checkpoint, it has no %s: %w", dir, manifestName, err)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	m, err := parseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s in %s is damaged: %w", manifestName, dir, err)
	}
	return m, nil
}

func parseManifest(data []byte) (*Manifest, error) {
	m := &Manifest{}
	if err := settings.FromJSON(data, m); err != nil {
		return nil, err
	}
	return m, m.check()
}

func (m *Manifest) check() error {
	if m.Step < 0 {
		return fmt.Errorf("step %d", m.Step)
	}
	seen := map[string]bool{manifestName: true}
	for _, f := range m.Files {
		if !fileName.MatchString(f.Name) || seen[f.Name] {
			return fmt.Errorf("file name %q", f.Name)
		}
		seen[f.Name] = true
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != sha256.Size || f.Size < 0 {
			return fmt.Errorf("size %d or sum %q of file %q", f.Size, f.SHA256, f.Name)
		}
	}
	return nil
}

// checkSizes checks that every file exists and has its size.
func (m *Manifest) checkSizes(dir string) error {
	for _, f := range m.Files {
		info, err := os.Stat(filepath.Join(dir, f.Name))
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		if info.Size() != f.Size {
			return fmt.Errorf("checkpoint: %s has %d bytes, its manifest says %d", filepath.Join(dir, f.Name), info.Size(), f.Size)
		}
	}
	return nil
}

// checkSums reads every file and compares its SHA-256.
func (m *Manifest) checkSums(dir string) error {
	for _, f := range m.Files {
		if err := checkSum(filepath.Join(dir, f.Name), f.SHA256); err != nil {
			return err
		}
	}
	return nil
}

func checkSum(path, want string) error {
	in, err := regular.Open(path)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if got := h.Sum(nil); !bytes.Equal(got, mustHex(want)) {
		return fmt.Errorf("checkpoint: %s is damaged: its SHA-256 is %x, its manifest says %s", path, got, want)
	}
	return nil
}

// mustHex decodes hex that Manifest.check has validated.
func mustHex(s string) []byte {
	b, _ := hex.DecodeString(s)
	return b
}

// buildVersion is the version of this program: of its module, or its commit.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (version == "" || version == "(devel)") {
			version = s.Value
		}
	}
	if version == "" {
		return "(devel)"
	}
	return version
}
