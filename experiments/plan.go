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

// A Plan is a resolved configuration of either kind, as sweeps need it.
type Plan struct {
	Kind    Kind
	Text    []byte // every setting, as YAML
	Steps   int64  // environment steps, or updates
	Threads int    // compute threads; 0: not set
	Metric  string // metric that runs are compared by; empty: none is measured
	Lower   bool   // lower is better
}

// AllNames lists the embedded configurations of both kinds.
func AllNames() []string { return append(Names(), ImageNames()...) }

// KindOf returns what a configuration trains. A name is judged by its folder, a file by
// its keys and those it inherits.
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

// Plan resolves a configuration of either kind. size is the size of an image model; see
// ResolveImages.
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

// metric is the recorded name of a model's evaluations; empty: none.
func (e ImageEval) metric() string {
	switch e.Extractor {
	case "efficientnet-lite0":
		return "eval/fd_e0"
	case "efficientnet-lite2":
		return "eval/fd_e2"
	case "inception":
		return "eval/fid"
	}
	return ""
}
