package runs

import (
	"bytes"
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

	"github.com/stein-rl/stein/internal/settings"
)

// The files of a run folder, besides metrics.csv, metrics.jsonl and TensorBoard's.
const (
	configName     = "config.yaml" // resolved: everything, with the seed
	infoName       = "run.json"
	checkpointsDir = "checkpoints"
	curveName      = "curve.png"
	lockName       = ".lock"
)

// A Folder is where a run keeps everything. It is locked while it is open, so that
// no second process writes into it.
type Folder struct {
	Dir  string
	Info Info
	lock *flock.Flock
}

// Info is run.json: what a configuration does not say about a run.
type Info struct {
	ID       string    `json:"id"` // of the folder's first name; log lines carry it
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

// A Build says what a binary was made of.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source, with + where it was changed
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

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
	return b
}

// Settings are the configuration of a run of any kind.
type Settings interface{ RunSeed() Seed }

// Create makes the folder of a new run: dir itself if it is given, and otherwise one
// below runs named after configuration, seed and time. It must be new or empty, or
// that of a run of the same settings that was ended before its first checkpoint.
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
	// With both files the folder is a run that can be resumed, whatever happens next.
	if err := errors.Join(f.SaveConfig(cfg), f.saveInfo()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func idOf(config string, seed Seed, now time.Time) string {
	name := strings.TrimSuffix(strings.TrimSuffix(config, ".yaml"), ".yml")
	if IsFile(config) { // its folder is not of interest
		name = filepath.Base(name)
	}
	return fmt.Sprintf("%s-%d-%s", strings.ReplaceAll(name, "/", "-"), seed, now.Format("20060102-150405"))
}

// makeUnique makes a folder that no other process makes at the same time.
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

// makeNamed looks at the folder that the user named, if it is there already.
func (f *Folder) makeNamed(cfg Settings) error {
	files, err := os.ReadDir(f.Dir)
	if err != nil || len(files) == 0 {
		return nil // what else is wrong with it, making it says
	}
	info, begun := Unstarted(f.Dir)
	if !begun {
		return fmt.Errorf("run folder %s is not empty: name another, or continue it with --resume", f.Dir)
	}
	text, err := settings.Encode(cfg)
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	there, err := os.ReadFile(filepath.Join(f.Dir, configName))
	if err != nil || !bytes.Equal(there, text) {
		return fmt.Errorf("run folder %s holds a run of other settings that has no checkpoint yet: start that one with --resume, remove the folder, or name another", f.Dir)
	}
	f.Info = info
	return nil
}

// Unstarted says whether a folder is that of a run which was ended before its first
// checkpoint, so that it has nothing to lose, and what is known of it.
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
	f := &Folder{Dir: dir, Info: info}
	return f, f.acquire()
}

// ReadInfo reads a folder's run.json.
func ReadInfo(dir string) (Info, error) {
	var info Info
	if !exists(dir) {
		return info, fmt.Errorf("no run folder %s", dir)
	}
	data, err := os.ReadFile(filepath.Join(dir, infoName))
	if errors.Is(err, fs.ErrNotExist) {
		return info, fmt.Errorf("%s is no run folder: it has no %s", dir, infoName)
	}
	if err != nil {
		return info, fmt.Errorf("run folder: %w", err)
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return info, fmt.Errorf("run folder: %s: %w", filepath.Join(dir, infoName), err)
	}
	return info, nil
}

func (f *Folder) acquire() error {
	f.lock = flock.New(filepath.Join(f.Dir, lockName))
	ok, err := f.lock.TryLock()
	if err != nil {
		return fmt.Errorf("run folder: locking %s: %w", f.Dir, err)
	}
	if !ok {
		return fmt.Errorf("run folder %s is in use by another process", f.Dir)
	}
	return nil
}

// Begin notes that this process trains here.
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

// Close lets others have the folder.
func (f *Folder) Close() error { return f.lock.Unlock() }

// WriteFile replaces a file at once: whoever reads it sees the old or the new one.
func WriteFile(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	defer os.Remove(temp.Name()) // gone already when all went well
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
