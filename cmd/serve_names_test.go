package cmd

import (
	"os"
	"testing"
)

// Ensure that a run folder with an equals sign in its name can be served, and that
// such a name can be given another.
func TestServeFolderWithEqualsSign(t *testing.T) {
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
		got, err := (serveFlags{}).sources([]string{arg})
		if err != nil || got[0].Name != want[0] || got[0].Dir != want[1] {
			t.Errorf("%s: %v, %v, want %s", arg, got, err, want)
		}
	}
	for _, arg := range []string{"", "walk="} {
		if got, err := (serveFlags{}).sources([]string{arg}); err == nil {
			t.Errorf("%q: %v, want an error", arg, got)
		}
	}
}
