package runs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/stein-rl/stein/internal/regular"
	"github.com/stein-rl/stein/internal/settings"
)

// The files of a run folder, besides metrics.csv, metrics.jsonl and those for
// TensorBoard.
const (
	configName     = "config.yaml" // resolved: all settings, with the seed
	infoName       = "run.json"
	checkpointsDir = "checkpoints"
	curveName      = "curve.png"
	lockName       = ".lock"
)

// A Folder stores everything about a run. It is locked while it is open, so that no
// second process writes to it.
type Folder struct {
	Dir  string
	Info Info
	lock *flock.Flock
}

// Info is run.json: facts about a run beyond its configuration.
type Info struct {
	ID       string    `json:"id"` // original name of the folder, used in log lines
	Config   string    `json:"config"`
	Seed     Seed      `json:"seed"`
	Created  time.Time `json:"created"`
	Build    Build     `json:"build"`
	Sessions []Session `json:"sessions"` // processes that trained here
	// Exported is set in a folder that stein export made: its checkpoint acts, but holds
	// neither replay memory nor the optimisers' variables.
	Exported bool `json:"exported,omitempty"`
}

// A Session is one process that trained in a folder.
type Session struct {
	Command  []string  `json:"command"`
	Started  time.Time `json:"started"`
	FromStep int64     `json:"from_step"`
	Backend  string    `json:"backend"`
	Threads  int       `json:"threads"`
	Build    Build     `json:"build"`
}

// A Build describes how a binary was built.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source, with + if it was modified
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// The version and revision of a release, set by scripts/release.sh. Go stamps neither into
// a build from a work tree of git or from an unpacked archive, and calls a commit without
// a tag v0.0.0.
var releaseVersion, releaseRevision string

// ThisBuild describes the running binary.
func ThisBuild() Build {
	b := Build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	changed := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				changed = "+"
			}
		}
	}
	if b.Revision != "" {
		b.Revision += changed
	}
	b.Version = cmp.Or(releaseVersion, b.Version)
	b.Revision = cmp.Or(releaseRevision, b.Revision)
	return b
}

// Settings are the configuration of a run of any kind.
type Settings interface{ RunSeed() Seed }

// Create creates the folder of a new run: dir if it is not empty, otherwise one below
// runs named after configuration, seed and time. The folder must be new or empty, or hold
// a run with the same settings that stopped before its first checkpoint.
func Create(dir, runs, config string, cfg Settings) (*Folder, error) {
	seed := cfg.RunSeed()
	now := time.Now()
	f := &Folder{Dir: dir, Info: Info{ID: idOf(config, seed, now), Config: config, Seed: seed, Created: now, Build: ThisBuild()}}
	if dir == "" {
		var err error
		if f.Dir, err = makeUnique(runs, f.Info.ID); err != nil {
			return nil, err
		}
	} else if err := f.makeNamed(cfg); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(f.Checkpoints(), 0o755); err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	if err := f.acquire(); err != nil {
		return nil, err
	}
	// Once both files exist, the folder is a run that can be resumed.
	if err := errors.Join(f.SaveConfig(cfg), f.saveInfo()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func idOf(config string, seed Seed, now time.Time) string {
	name := strings.TrimSuffix(strings.TrimSuffix(config, ".yaml"), ".yml")
	if IsFile(config) { // use the file's name without its folder
		name = filepath.Base(name)
	}
	return fmt.Sprintf("%s-%d-%s", strings.ReplaceAll(name, "/", "-"), seed, now.Format("20060102-150405"))
}

// makeUnique creates a folder atomically, so that two processes never share one.
func makeUnique(runs, id string) (string, error) {
	if err := os.MkdirAll(runs, 0o755); err != nil {
		return "", fmt.Errorf("run folder: %w", err)
	}
	dir := filepath.Join(runs, id)
	for i := 2; ; i++ {
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("run folder: %w", err)
		}
		dir = filepath.Join(runs, fmt.Sprintf("%s.%d", id, i))
	}
}

// makeNamed checks the folder that the user named, if it exists.
func (f *Folder) makeNamed(cfg Settings) error {
	files, err := os.ReadDir(f.Dir)
	if err != nil || len(files) == 0 {
		return nil // creating it reports any other problem
	}
	info, begun := Unstarted(f.Dir)
	if !begun {
		return fmt.Errorf("run folder %s is not empty: choose another folder, or continue the run with --resume", f.Dir)
	}
	text, err := settings.Encode(cfg)
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	there, err := os.ReadFile(filepath.Join(f.Dir, configName))
	if err != nil || !bytes.Equal(there, text) {
		return fmt.Errorf("run folder %s holds a run with other settings and no checkpoint yet: start it with --resume, remove the folder, or choose another", f.Dir)
	}
	f.Info = info
	return nil
}

// Unstarted reports whether a folder holds a run that stopped before its first
// checkpoint, so that nothing is lost by starting over, and returns its Info.
func Unstarted(dir string) (Info, bool) {
	info, err := ReadInfo(dir)
	if err != nil {
		return info, false
	}
	left, err := os.ReadDir(Checkpoints(dir))
	return info, (err == nil || errors.Is(err, fs.ErrNotExist)) && len(left) == 0
}

// SaveConfig replaces the folder's configuration.
func (f *Folder) SaveConfig(cfg Settings) error {
	text, err := settings.Encode(cfg)
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	return WriteFile(filepath.Join(f.Dir, configName), text)
}

// Open opens the folder of a run to continue it.
func Open(dir string) (*Folder, error) {
	info, err := ReadInfo(dir)
	if err != nil {
		return nil, err
	}
	if info.Exported {
		return nil, fmt.Errorf("run folder %s was exported: it can act, but has no optimiser or replay memory to train on; continue the run that it was exported from", dir)
	}
	return Take(dir)
}

// Take opens the folder of any run, such as to remove it.
func Take(dir string) (*Folder, error) {
	info, err := ReadInfo(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{Dir: dir, Info: info}
	return f, f.acquire()
}

// ReadInfo reads a folder's run.json.
func ReadInfo(dir string) (Info, error) {
	var info Info
	if !exists(dir) {
		return info, fmt.Errorf("run folder %s does not exist", dir)
	}
	data, err := regular.ReadFile(filepath.Join(dir, infoName))
	if errors.Is(err, fs.ErrNotExist) {
		return info, fmt.Errorf("%s is not a run folder: it has no %s", dir, infoName)
	}
	if err != nil {
		return info, fmt.Errorf("run folder: %w", err)
	}
	if err := settings.FromJSON(data, &info); err != nil {
		return info, fmt.Errorf("run folder: %s: %w", filepath.Join(dir, infoName), err)
	}
	return info, nil
}

func (f *Folder) acquire() error {
	f.lock = flock.New(filepath.Join(f.Dir, lockName))
	ok, err := false, regular.Replaceable(f.lock.Path())
	if err == nil {
		ok, err = f.lock.TryLock()
	}
	if err != nil {
		return fmt.Errorf("run folder: locking %s: %w", f.Dir, err)
	}
	if !ok {
		return fmt.Errorf("run folder %s is in use by another process", f.Dir)
	}
	return nil
}

// Begin records that this process trains here.
func (f *Folder) Begin(s Session) error {
	f.Info.Sessions = append(f.Info.Sessions, s)
	return f.saveInfo()
}

func (f *Folder) saveInfo() error {
	data, err := json.MarshalIndent(f.Info, "", "  ")
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	return WriteFile(filepath.Join(f.Dir, infoName), append(data, '\n'))
}

// Checkpoints is the folder of the checkpoints.
func (f *Folder) Checkpoints() string { return Checkpoints(f.Dir) }

// Checkpoints is the folder of a run's checkpoints.
func Checkpoints(dir string) string { return filepath.Join(dir, checkpointsDir) }

// Close unlocks the folder.
func (f *Folder) Close() error { return f.lock.Unlock() }

// WriteFile replaces a file atomically.
func WriteFile(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	defer os.Remove(temp.Name()) // no-op after a successful rename
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("run folder: writing %s: %w", path, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
