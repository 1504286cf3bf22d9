package fid

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/internal/fetch"
)

// Open creates an extractor by name: efficientnet-lite0, efficientnet-lite2 or inception.
// path is the file of its weights; empty: search the user's cache folder and, for the
// former two, the Python packages of virtual environments. Open rejects a file whose SHA-256 differs from
// that of the published weights.
func Open(backend compute.Backend, name, path string) (Extractor, error) {
	switch name {
	case "efficientnet-lite0":
		return lite0.open(backend, path)
	case "efficientnet-lite2":
		return lite2.open(backend, path)
	case "inception":
		path, err := find(InceptionFile, path, nil, "download it from "+InceptionFile.URL)
		if err != nil {
			return nil, err
		}
		return newInception(backend, path)
	default:
		return nil, fmt.Errorf("fid: unknown extractor %q, want efficientnet-lite0, efficientnet-lite2 or inception", name)
	}
}

// find verifies the given file, or the first that exists.
func find(f fetch.File, given string, elsewhere []string, hint string) (string, error) {
	places := []string{given}
	if given == "" {
		places = append([]string{filepath.Join(cacheFolder(), f.Name)}, elsewhere...)
		for i, dir := range places[1:] {
			places[i+1] = filepath.Join(dir, f.Name)
		}
	}
	for _, path := range places {
		if _, err := os.Stat(path); err != nil && given == "" {
			continue
		}
		if err := f.Check(path); err != nil {
			return "", fmt.Errorf("fid: %w", err)
		}
		return path, nil
	}
	return "", fmt.Errorf("fid: %s not found in %s: %s", f.Name, strings.Join(places, ", "), hint)
}

// sitePackages are the folders of a Python package in the virtual environments that the
// engine searches for plugins.
func sitePackages(parts ...string) []string {
	var dirs []string
	for _, venv := range engine.Venvs() {
		// Glob only fails on a malformed pattern.
		found, _ := filepath.Glob(filepath.Join(venv, "lib", "python3*", "site-packages", filepath.Join(parts...)))
		dirs = append(dirs, found...)
	}
	return dirs
}

// cacheFolder is the folder of a user's statistics and weights.
func cacheFolder() string {
	cache, err := os.UserCacheDir()
	if err != nil { // no home folder
		cache = os.TempDir()
	}
	return filepath.Join(cache, "stein", "fid")
}
