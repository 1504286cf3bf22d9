// Package optuna searches hyperparameters: Optuna proposes settings, a sweep's executors
// run them, and the results go back to Optuna.
package optuna

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v4"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/regular"
	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/study"
)

// A Plan is the user's YAML file that says what to tune.
type Plan struct {
	Config   string            `yaml:"config"`
	Seeds    study.Seeds       `yaml:"seeds"`  // seeds to run each settings with; default 0
	Set      study.Assignments `yaml:"set"`    // for all trials
	Size     string            `yaml:"size"`   // of an image model: tiny, small or paper
	Metric   string            `yaml:"metric"` // empty: the return of evaluations, or the distance of an image model
	Minimize bool              `yaml:"minimize"`
	Space    Space             `yaml:"space"`
}

// A Space has a range or a list of choices for each key, in the file's order.
type Space []Axis

// An Axis is the range or the choices of one key.
type Axis struct {
	Key     string
	Choices []string // YAML on one line; nil: Low to High
	Low     float64
	High    float64
	Step    float64 // 0: none
	Log     bool
	Whole   bool // whole numbers
}

// UnmarshalYAML reads a mapping of keys to {low, high, log, step} or {choices}.
func (s *Space) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: space: want key: {low: …, high: …} or key: {choices: […]} lines", n.Line)
	}
	for i := 0; i < len(n.Content); i += 2 {
		axis, err := parseAxis(n.Content[i].Value, n.Content[i+1])
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", n.Content[i].Line, n.Content[i].Value, err)
		}
		*s = append(*s, axis)
	}
	return nil
}

func parseAxis(key string, n *yaml.Node) (Axis, error) {
	var spec struct {
		Low, High, Step yaml.Node
		Log             bool
		Choices         []yaml.Node
	}
	a := Axis{Key: key}
	if err := strict(n, &spec); err != nil {
		return a, err
	}
	if len(spec.Choices) > 0 {
		if !spec.Low.IsZero() || !spec.High.IsZero() {
			return a, errors.New("want either choices, or low and high")
		}
		for i := range spec.Choices {
			text, err := study.Flow(&spec.Choices[i])
			if err != nil {
				return a, err
			}
			a.Choices = append(a.Choices, text)
		}
		return a, nil
	}
	if spec.Low.IsZero() || spec.High.IsZero() {
		return a, errors.New("want low and high, or choices")
	}
	a.Log, a.Whole = spec.Log, spec.Low.Tag == "!!int" && spec.High.Tag == "!!int"
	for _, number := range []struct {
		node yaml.Node
		to   *float64
	}{{spec.Low, &a.Low}, {spec.High, &a.High}, {spec.Step, &a.Step}} {
		if !number.node.IsZero() {
			if err := number.node.Decode(number.to); err != nil {
				return a, fmt.Errorf("%q is not a number", number.node.Value)
			}
		}
	}
	if !(a.Low < a.High) || a.Log && a.Low <= 0 || a.Step < 0 || a.Log && a.Step > 0 {
		return a, errors.New("want low below high; with log low above 0 and no step")
	}
	return a, nil
}

// strict decodes a node and rejects unknown keys.
func strict(n *yaml.Node, to any) error {
	data, err := yaml.Marshal(n)
	if err != nil {
		return err
	}
	return settings.Strict(data, to)
}

// ReadPlan reads and validates a plan, including its keys.
func ReadPlan(file string, catalog experiments.Catalog) (Plan, error) {
	var p Plan
	data, err := regular.ReadFile(file)
	if err != nil {
		return p, fmt.Errorf("tune: %w", err)
	}
	if err := settings.Strict(data, &p); err != nil {
		return p, fmt.Errorf("tune: %s: %w", file, err)
	}
	if p.Config == "" || len(p.Space) == 0 {
		return p, fmt.Errorf("tune: %s: want config: NAME and a space: with at least one key", file)
	}
	if len(p.Seeds) == 0 {
		p.Seeds = study.Seeds{0}
	}
	if ext := filepath.Ext(p.Config); (ext == ".yaml" || ext == ".yml") && !filepath.IsAbs(p.Config) {
		if p.Config, err = filepath.Abs(filepath.Join(filepath.Dir(file), p.Config)); err != nil {
			return p, fmt.Errorf("tune: %w", err)
		}
	}
	for _, end := range [][]string{p.Space.end(false), p.Space.end(true)} {
		if _, err := study.Resolve(catalog, p.Config, p.Size, append(append([]string{}, p.Set...), end...), p.Seeds[0]); err != nil {
			return p, fmt.Errorf("tune: %s: %w", file, err)
		}
	}
	return p, p.judge(file, catalog)
}

// judge sets the metric if the plan does not.
func (p *Plan) judge(file string, catalog experiments.Catalog) error {
	if p.Metric != "" {
		return nil
	}
	resolved, err := catalog.Plan(p.Config, p.Size, p.Set)
	if err != nil {
		return fmt.Errorf("tune: %s: %w", file, err)
	}
	if p.Metric, p.Minimize = resolved.Metric, resolved.Lower; p.Metric == "" {
		return fmt.Errorf("tune: %s: metric is missing: this configuration has no default (eval.extractor: none)", file)
	}
	return nil
}

// end returns the settings at one end of every axis.
func (s Space) end(high bool) (sets []string) {
	for _, a := range s {
		value := any(a.Low)
		switch {
		case len(a.Choices) > 0 && high:
			value = a.Choices[len(a.Choices)-1]
		case len(a.Choices) > 0:
			value = a.Choices[0]
		case high:
			value = a.High
		}
		sets = append(sets, a.Key+"="+a.text(value))
	}
	return sets
}

// text formats a value as YAML.
func (a Axis) text(value any) string {
	switch x := value.(type) {
	case string:
		return x
	case float64:
		if a.Whole {
			return strconv.FormatInt(int64(math.Round(x)), 10)
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return fmt.Sprint(value)
}

// forOptuna describes the space to the driver.
func (s Space) forOptuna() map[string]any {
	all := map[string]any{}
	for _, a := range s {
		if len(a.Choices) > 0 {
			all[a.Key] = map[string]any{"choices": a.Choices}
			continue
		}
		one := map[string]any{"low": a.Low, "high": a.High, "log": a.Log, "whole": a.Whole}
		if a.Step > 0 {
			one["step"] = a.Step
		}
		all[a.Key] = one
	}
	return all
}
