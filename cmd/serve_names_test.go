package cmd

import (
	"os"
	"testing"
)

// Ensure that a run folder with an equals sign in its name can be served, and that
// such a name can be given another.
func TestServeFolderWithEqualsSign(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in a process of its own")
	}
	t.Chdir(t.TempDir())
	for _, dir := range []string{"lr=0.001", "runs/a"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for arg, want := range map[string][2]string{
		"lr=0.001":        {"lr=0.001", "lr=0.001"},
		"lr=0.001/":       {"lr=0.001", "lr=0.001/"},
		"./lr=0.001":      {"lr=0.001", "./lr=0.001"},
		"slow=lr=0.001":   {"slow", "lr=0.001"},
		"walk=runs/a":     {"walk", "runs/a"},
		"runs/a":          {"a", "runs/a"},
		"walk=not/there":  {"walk", "not/there"},
		"not/there=there": {"there=there", "not/there=there"},
	} {
		if got := (serveFlags{}).sources([]string{arg})[0]; got.Name != want[0] || got.Dir != want[1] {
			t.Errorf("%s: %s in %s, want %s", arg, got.Name, got.Dir, want)
		}
	}
}
