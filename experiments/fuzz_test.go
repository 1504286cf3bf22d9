package experiments_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/settings"
)

// FuzzResolve: whatever a configuration's file says, it is refused or it is one that
// can be kept in a run folder and read back.
func FuzzResolve(f *testing.F) {
	for _, text := range []string{
		"extends: [walker2d/sac]\nsteps: 10\n", "extends: [x]", "extends: [x.yaml]", "policy: {kind: stein}", "policy: {kind: [1]}", "version: 2",
		"seed: -1", "env: {id: a, kwargs: {b: {c: [1, null]}}}\nextends: [pendulum/sac]", "agent: {critic: {hidden: [0]}}", "<<: *x", "steps: 1e400", "policy: {sampler: {kind: svgd}}",
	} {
		f.Add([]byte(text))
	}
	catalog := experiments.Builtin()
	dir := f.TempDir()
	path, kept := filepath.Join(dir, "x.yaml"), filepath.Join(dir, "config.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := catalog.Resolve(path, nil)
		if err != nil {
			return
		}
		out, err := settings.Encode(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(kept, out, 0o600); err != nil {
			t.Fatal(err)
		}
		if cfg, err = catalog.Reread(dir, nil); err != nil {
			t.Fatalf("%v, reading\n%s", err, out)
		}
		if again, err := settings.Encode(cfg); err != nil || string(again) != string(out) {
			t.Fatalf("%v, read back from\n%s\nas\n%s", err, out, again)
		}
	})
}
