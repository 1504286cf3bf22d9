package venv

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

const stampName = "stein-setup.json"

// A stamp is a file in an environment that records how complete it is. It is written
// before the first package is installed and after the last.
type stamp struct {
	Made   bool              `json:"made"`   // by Make, which may remove and recreate it
	Done   bool              `json:"done"`   // all packages of Lists are installed
	Python string            `json:"python"` // version, such as 3.13.2
	Lists  map[string]string `json:"lists"`  // of packages: name → SHA-256
}

func readStamp(dir string) (stamp, error) {
	var s stamp
	path := filepath.Join(dir, stampName)
	data, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("venv: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("venv: %s: %w", path, err)
	}
	return s, nil
}

// write replaces the stamp atomically.
func (s stamp) write(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("venv: %w", err)
	}
	path := filepath.Join(dir, stampName)
	if err := os.WriteFile(path+".part", append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("venv: %w", err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("venv: %w", err)
	}
	return nil
}

// has reports whether the current versions of all lists were installed.
func (s stamp) has(lists map[string]string) bool {
	for name, sum := range lists {
		if s.Lists[name] != sum {
			return false
		}
	}
	return s.Done
}
