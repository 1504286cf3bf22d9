package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"github.com/stein-rl/stein/internal/regular"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kept lists the files of a run that are copied to an exported folder.
var kept = []string{configName, csvName}

// CreateExported creates the folder to from the run folder dir, without checkpoints. It
// shortens absolute paths in the record to their last element. to must not exist, or be
// empty.
func CreateExported(to, dir string, info Info) error {
	if files, err := os.ReadDir(to); err == nil && len(files) > 0 {
		return fmt.Errorf("export: folder %s is not empty: choose another", to)
	}
	if err := os.MkdirAll(Checkpoints(to), 0o755); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	info.Exported = true
	info.Sessions = slices.Clone(info.Sessions)
	for i, s := range info.Sessions {
		s.Command = slices.Clone(s.Command)
		for k, word := range s.Command {
			if filepath.IsAbs(word) {
				s.Command[k] = filepath.Base(word)
			}
		}
		if kind, path, ok := strings.Cut(s.Backend, ":"); ok { // xla:PATH of the plugin
			s.Backend = kind + ":" + filepath.Base(path)
		}
		info.Sessions[i] = s
	}
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for _, name := range kept {
		data, err := regular.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = WriteFile(filepath.Join(to, name), data)
		}
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	return WriteFile(filepath.Join(to, infoName), append(text, '\n'))
}
