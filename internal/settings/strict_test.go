package settings_test

import (
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/stein-rl/stein/internal/settings"
)

type odd struct{}

func (odd) UnmarshalYAML(n *yaml.Node) error { return errors.New("line 1: odd") }

// Ensure that an empty file is no error, and that mistakes are named with their lines,
// without a Go type.
func TestStrict(t *testing.T) {
	type plan struct {
		Name   string             `yaml:"name"`
		Trials int                `yaml:"trials"`
		Share  float64            `yaml:"share"`
		List   []string           `yaml:"list"`
		Space  map[string]float64 `yaml:"space"`
		Odd    odd                `yaml:"odd"`
		Plain  int
	}
	for text, want := range map[string]string{
		"": "", "# nothing\n": "", "name: x\ntrials: 3": "", "nam: x": "line 1: nam: unknown key; did you mean name?", "plane: 1": "did you mean plain?",
		"name: x\ntrials: many": "line 2: want a whole number, got many", "share: [1]": "line 1: want a number, got", "list: x": "line 1: want a list, got x",
		"list: {a: 1}": "want a list, got", "space: [1]": "want key: value lines", "name: [1]": "want text, got", "trials: 1.5": "want a whole number, got 1.5",
		"odd: 1": "line 1: odd", "[1, 2]": "want key: value lines", "just text": "want key: value lines, got just text", "a: [": "line 2", "name: x\nname: y": "already defined", "\x00": "control characters",
	} {
		err := settings.Strict([]byte(text), new(plan))
		if (want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "settings_test") || strings.Contains(err.Error(), "construct")) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}
