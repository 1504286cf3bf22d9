package experiments

import (
	"slices"
	"strings"

	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/runs"
)

// A Kind is what a configuration trains.
type Kind string

// The kinds of configurations.
const (
	Agents Kind = "agent"
	Images Kind = "images"
)

// A Plan is a resolved configuration of either kind, as a sweep needs it.
type Plan struct {
	Kind    Kind
	Text    []byte // every setting, as YAML
	Steps   int64  // environment steps, or updates
	Threads int    // that it computes with; 0: it doesn't say
	Metric  string // that its runs are judged by; empty: none is measured
	Lower   bool   // the lower the better
}

// AllNames lists the embedded configurations of both kinds.
func AllNames() []string { return append(Names(), ImageNames()...) }

// KindOf says what a configuration trains: a name by its folder, a file by its keys and
// those of what it extends.
func KindOf(name string) (Kind, error) {
	if !runs.IsFile(name) {
		if strings.HasPrefix(name, imagesPrefix) {
			return Images, nil
		}
		return Agents, nil
	}
	layers, err := ladder.Layers(name, name)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(layers, func(t *settings.Tree) bool { return t.Has("model") || t.Has("data") || t.Has("updates") }) {
		return Images, nil
	}
	return Agents, nil
}

// Plan resolves a configuration of either kind. size is that of an image model, as
// ResolveImages takes it.
func (c Catalog) Plan(name, size string, sets []string) (p Plan, err error) {
	if p.Kind, err = KindOf(name); err != nil {
		return p, err
	}
	var whole any
	if p.Kind == Images {
		cfg, err := ResolveImages(name, size, sets)
		if err != nil {
			return p, err
		}
		p.Steps, p.Threads, p.Metric, p.Lower = cfg.Updates, cfg.Engine.Threads, cfg.Eval.metric(), true
		whole = cfg
	} else {
		cfg, err := c.Resolve(name, sets)
		if err != nil {
			return p, err
		}
		p.Steps, p.Threads, p.Metric = cfg.Steps, cfg.Engine.Threads, "eval/mean_reward"
		whole = cfg
	}
	p.Text, err = settings.Encode(whole)
	return p, err
}

// metric is what a model's evaluations are recorded as; empty: nothing is measured.
func (e ImageEval) metric() string {
	switch e.Extractor {
	case "efficientnet-lite0":
		return "eval/fd_e0"
	case "inception":
		return "eval/fid"
	}
	return ""
}
