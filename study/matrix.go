// Package study runs sweeps of agents and image models: a matrix of configurations,
// settings and seeds. Each trial has its own folder and process. A journal records
// events, so that a sweep that was stopped or killed can resume.
package study

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/regular"
	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/report"
	"github.com/stein-rl/stein/runs"
)

// A Matrix defines the trials of a sweep: every configuration with every entry of the
// list, every combination of the grid, and every seed.
type Matrix struct {
	Configs []string      `yaml:"configs"` // names, patterns such as walker2d/met-*, files
	Seeds   Seeds         `yaml:"seeds"`   // their number, counting from 0, or a list
	Set     Assignments   `yaml:"set"`     // for all trials
	Grid    Grid          `yaml:"grid"`    // key: [values]
	List    []Assignments `yaml:"list"`    // combinations of settings
	Size    string        `yaml:"size"`    // of image models: tiny, small or paper; empty: as configured
}

// Assignments are key=value with a YAML value, as in stein train --set. In a file they
// are a mapping.
type Assignments []string

// A Grid has a list of values for each key, in the file's order.
type Grid [][]string // [key][value], each key=value

// Seeds of the trials of one configuration.
type Seeds []uint64

// A Trial is one run of a sweep.
type Trial struct {
	Name    string   `json:"name"` // of its folder
	Config  string   `json:"config"`
	Kind    string   `json:"kind,omitempty"` // experiments.Images, or an agent
	Size    string   `json:"size,omitempty"` // of an image model
	Seed    uint64   `json:"seed"`
	Sets    []string `json:"sets,omitempty"`
	Steps   int64    `json:"steps"`   // environment steps, or updates
	Sum     string   `json:"sum"`     // of the resolved configuration
	Threads int      `json:"threads"` // compute threads; 0: not set
}

// UnmarshalYAML reads a mapping.
func (a *Assignments) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: want key: value lines", n.Line)
	}
	for i := 0; i < len(n.Content); i += 2 {
		text, err := Flow(n.Content[i+1])
		if err != nil {
			return err
		}
		*a = append(*a, n.Content[i].Value+"="+text)
	}
	return nil
}

// UnmarshalYAML reads a mapping of lists.
func (g *Grid) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: want key: [value, value] lines", n.Line)
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, values := n.Content[i].Value, n.Content[i+1]
		if values.Kind != yaml.SequenceNode || len(values.Content) == 0 {
			return fmt.Errorf("line %d: %s: want a list of values", values.Line, key)
		}
		var axis []string
		for _, v := range values.Content {
			text, err := Flow(v)
			if err != nil {
				return err
			}
			axis = append(axis, key+"="+text)
		}
		*g = append(*g, axis)
	}
	return nil
}

// UnmarshalYAML reads a number or a list.
func (s *Seeds) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		var list []uint64
		if err := n.Decode(&list); err != nil {
			return fmt.Errorf("line %d: seeds: want whole numbers of at least 0", n.Line)
		}
		*s = list
		return nil
	}
	count, err := countOf(n.Value)
	*s = count
	return err
}

// countOf returns the first n seeds.
func countOf(text string) (Seeds, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < 1 || n > 10_000 {
		return nil, fmt.Errorf("seeds %q: want a number of seeds, or a list such as 0,7", text)
	}
	var s Seeds
	for i := range n {
		s = append(s, i)
	}
	return s, nil
}

// ParseSeeds parses 5, for the seeds 0 to 4, or a list: 3,7. A trailing comma makes a
// list of one: 3,
func ParseSeeds(text string) (Seeds, error) {
	if !strings.Contains(text, ",") {
		return countOf(text)
	}
	var s Seeds
	for item := range strings.SplitSeq(strings.Trim(text, ", "), ",") {
		x, err := strconv.ParseUint(strings.TrimSpace(item), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("seeds %q: %q is not a number", text, item)
		}
		s = append(s, x)
	}
	return s, nil
}

// Flow formats a YAML value on one line.
func Flow(n *yaml.Node) (string, error) {
	var style func(*yaml.Node)
	style = func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
			n.Style = yaml.FlowStyle
		}
		n.HeadComment, n.LineComment, n.FootComment = "", "", ""
		for _, c := range n.Content {
			style(c)
		}
	}
	style(n)
	text, err := yaml.Marshal(n)
	if err != nil {
		return "", fmt.Errorf("line %d: %w", n.Line, err)
	}
	return strings.Join(strings.Fields(string(text)), " "), nil
}

// ReadMatrix reads a sweep's YAML file.
func ReadMatrix(file string) (Matrix, error) {
	var m Matrix
	data, err := regular.ReadFile(file)
	if err != nil {
		return m, fmt.Errorf("sweep: %w", err)
	}
	if err := settings.Strict(data, &m); err != nil {
		return m, fmt.Errorf("sweep: %s: %w", file, err)
	}
	if len(m.Configs) == 0 {
		return m, fmt.Errorf("sweep: %s: configs is missing, such as configs: [walker2d/sac, walker2d/met-*]", file)
	}
	for i, c := range m.Configs { // file names are relative to the matrix file
		if runs.IsFile(c) && !filepath.IsAbs(c) {
			m.Configs[i] = filepath.Join(filepath.Dir(file), c)
		}
	}
	return m, nil
}

// Folder is the matrix of an embedded folder or of one configuration. Of a folder it has
// the configurations with a published figure, or all if none has one.
func Folder(name string) Matrix {
	var all, published []string
	for _, c := range experiments.AllNames() {
		if c == name || strings.HasPrefix(c, strings.TrimSuffix(name, "/")+"/") {
			all = append(all, c)
			if report.IsPublished(c) {
				published = append(published, c)
			}
		}
	}
	if len(published) > 0 && !slices.Contains(all, name) {
		all = published
	}
	if len(all) == 0 {
		all = []string{name} // a pattern, or a file: Trials reports errors
	}
	return Matrix{Configs: all}
}

// Trials lists the matrix's trials. If there are patterns, it keeps those whose
// configuration matches one by its full name or its last part. It resolves every trial,
// so that bad settings fail before anything starts.
func (m Matrix) Trials(catalog experiments.Catalog, only []string) ([]Trial, error) {
	configs, err := m.configs(only)
	if err != nil {
		return nil, err
	}
	if m.Size != "" && m.Size != "tiny" && m.Size != "small" && m.Size != "paper" {
		return nil, fmt.Errorf("sweep: size %q: want tiny, small or paper", m.Size)
	}
	seeds := m.Seeds
	if len(seeds) == 0 {
		seeds = Seeds{0}
	}
	var trials []Trial
	names := map[string]bool{}
	for _, seed := range seeds { // the first seed of all configurations, then the second
		for _, config := range configs {
			for _, varied := range m.variants() {
				t, err := m.trial(catalog, config, varied, seed)
				if err != nil {
					return nil, err
				}
				if names[t.Name] {
					return nil, fmt.Errorf("sweep: two trials are named %s: a value or a seed appears twice", t.Name)
				}
				names[t.Name] = true
				trials = append(trials, t)
			}
		}
	}
	return trials, nil
}

// configs returns the configurations that are named and match.
func (m Matrix) configs(only []string) ([]string, error) {
	var all []string
	for _, c := range m.Configs {
		matched := []string{c}
		if strings.ContainsAny(c, "*?[") && !runs.IsFile(c) {
			matched = slices.DeleteFunc(experiments.AllNames(), func(name string) bool { ok, _ := path.Match(c, name); return !ok })
			if len(matched) == 0 {
				return nil, fmt.Errorf("sweep: no configuration matches %s (`stein configs` lists them)", c)
			}
		}
		for _, one := range matched {
			if !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	if len(only) == 0 {
		return all, nil
	}
	kept := slices.DeleteFunc(slices.Clone(all), func(c string) bool {
		return !slices.ContainsFunc(only, func(pattern string) bool {
			whole, _ := path.Match(pattern, c)
			last, _ := path.Match(pattern, strings.TrimSuffix(path.Base(c), path.Ext(c)))
			return whole || last
		})
	})
	if len(kept) == 0 {
		return nil, fmt.Errorf("sweep: --only %s matches none of %s", strings.Join(only, ", "), strings.Join(all, ", "))
	}
	return kept, nil
}

// variants returns the list's entries, each with every combination of the grid.
func (m Matrix) variants() [][]string {
	all := [][]string{nil}
	if len(m.List) > 0 {
		all = nil
		for _, entry := range m.List {
			all = append(all, entry)
		}
	}
	for _, axis := range m.Grid {
		var next [][]string
		for _, before := range all {
			for _, value := range axis {
				next = append(next, append(slices.Clone(before), value))
			}
		}
		all = next
	}
	return all
}

// Resolve returns the trial of one configuration, settings and seed, without a name.
func Resolve(catalog experiments.Catalog, config, size string, sets []string, seed uint64) (Trial, error) {
	if runs.IsFile(config) { // absolute, since the sweep may resume from another folder
		path, err := filepath.Abs(config)
		if err != nil {
			return Trial{}, fmt.Errorf("sweep: %w", err)
		}
		config = path
	}
	t := Trial{Config: config, Seed: seed, Sets: sets}
	plan, err := catalog.Plan(config, size, append(slices.Clone(sets), fmt.Sprintf("seed=%d", seed)))
	if err != nil {
		return t, fmt.Errorf("sweep: %w", err)
	}
	if plan.Kind == experiments.Images {
		t.Kind, t.Size = string(plan.Kind), size
	}
	t.Steps, t.Sum, t.Threads = plan.Steps, sum(plan.Text), plan.Threads
	return t, nil
}

func (m Matrix) trial(catalog experiments.Catalog, config string, varied []string, seed uint64) (Trial, error) {
	t, err := Resolve(catalog, config, m.Size, slices.Concat(m.Set, varied), seed)
	if err != nil {
		return t, err
	}
	config = t.Config
	name := strings.TrimSuffix(config, path.Ext(config))
	if runs.IsFile(config) {
		name = filepath.Base(name)
	}
	parts := []string{strings.ReplaceAll(name, "/", "-")}
	for _, v := range varied {
		key, value, _ := strings.Cut(v, "=")
		parts = append(parts, plain(key[strings.LastIndexByte(key, '.')+1:]+"="+value))
	}
	name = strings.Join(parts, "-")
	if len(name) > 120 {
		name = name[:100] + "-" + sum([]byte(name))[:8]
	}
	t.Name = fmt.Sprintf("%s-s%d", name, seed)
	return t, nil
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:8])
}

// plain turns a text into a folder name.
func plain(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("=._-", c) {
			return c
		}
		if c == ' ' || c == '"' || c == '\'' {
			return -1
		}
		return '_'
	}, text)
}
