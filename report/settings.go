package report

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/stein-rl/stein/experiments"
)

// Settings are a flattened configuration: agent.gamma → 0.99.
type Settings map[string]string

// A Difference is a setting in which two configurations differ. A missing value is empty.
type Difference struct {
	Key  string `json:"key"`
	A, B string
}

// ParseSettings parses a configuration, such as a run folder's config.yaml.
func ParseSettings(text []byte) (Settings, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("report: a configuration: %w", err)
	}
	s := Settings{}
	if doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("report: a configuration: want key: value lines")
	}
	s.add("", doc.Content[0])
	return s.current(), nil
}

// current renames settings of older versions to their current names and drops those of
// kinds that were not selected, so that they are comparable.
func (s Settings) current() Settings {
	now := Settings{}
	for key, value := range s {
		if experiments.OfOtherKind(key, func(key string) string { return s[key] }) {
			continue
		}
		now[experiments.CurrentKey(key)] = value
	}
	if s["version"] == "1" {
		now["version"] = strconv.Itoa(experiments.Version)
		if _, learns := s["agent.gamma"]; learns {
			now["agent.kind"] = "sac"
		}
	}
	return now
}

func (s Settings) add(key string, n *yaml.Node) {
	if n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		for i := 0; i < len(n.Content); i += 2 {
			name := n.Content[i].Value
			if key != "" {
				name = key + "." + name
			}
			s.add(name, n.Content[i+1])
		}
		return
	}
	s[key] = oneLine(n)
}

// oneLine formats a value on one line.
func oneLine(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		var items []string
		for _, c := range n.Content {
			items = append(items, oneLine(c))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case yaml.MappingNode:
		var items []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			items = append(items, n.Content[i].Value+": "+oneLine(n.Content[i+1]))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return n.Value
}

// Diff lists, by key, the settings in which a and b differ.
func Diff(a, b Settings) []Difference {
	all := maps.Clone(a)
	maps.Copy(all, b)
	var list []Difference
	for _, key := range slices.Sorted(maps.Keys(all)) {
		x, inA := a[key]
		y, inB := b[key]
		if x != y || inA != inB {
			list = append(list, Difference{key, x, y})
		}
	}
	return list
}

// incidental settings do not affect what is learned, or are the seed. Runs that differ
// only in them belong to one configuration.
var incidental = []string{"seed", "about", "engine.", "checkpoint.", "log.", "eval.", "env.timeout", "env.endpoints", "env.key"}

// configuration is the settings without the incidental ones. How long a run is to be is
// incidental too, unless a schedule ends with it.
func (s Settings) configuration() Settings {
	kept := Settings{}
	for key, value := range s {
		if (key == "steps" || key == "updates") && !s.scheduled() {
			continue
		}
		if !slices.ContainsFunc(incidental, func(i string) bool {
			return key == i || strings.HasSuffix(i, ".") && strings.HasPrefix(key, i)
		}) {
			kept[key] = value
		}
	}
	return kept
}

// scheduled reports whether something changes with the share of the run that is done:
// the learning rate, the weights of prioritised replay, the noise on images, or how often
// Metropolis–Hastings decides.
func (s Settings) scheduled() bool {
	if s["agent.lr_schedule"] == "linear" || s["replay.kind"] == "prioritized" || !slices.Contains([]string{"", "0"}, s["model.data_noise_start"]) {
		return true
	}
	for key, value := range s {
		if strings.Contains(key, ".sampler.greedy") && value != "null" {
			return true
		}
	}
	return false
}

// id is the same for equal settings.
func (s Settings) id() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%s=%s\n", key, s[key])
	}
	return b.String()
}
