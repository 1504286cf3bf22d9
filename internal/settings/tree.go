// Package settings decodes YAML into typed structs, strictly: an unknown key or an
// invalid value is an error with the key's path, its place, and what is allowed. All such
// errors are reported together.
//
// A field's key is its yaml tag, or its name in snake_case. A want tag bounds it:
//
//	Batch  int     `want:"> 0"`
//	Gamma  float64 `want:"> 0, <= 1"`
//	Device string  `want:"cpu|cuda"`
//
// A struct's method Validate() error, if it has one, is called after all fields are set.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxNodes exceeds any real configuration.
const maxNodes = 10_000

// A Tree is YAML that records the source of each value.
type Tree struct {
	root    *yaml.Node
	source  map[*yaml.Node]string
	anyKind bool // ignore keys of other kinds
}

// Parse parses one YAML document, which must be a mapping. name is used in errors.
func Parse(name string, data []byte) (*Tree, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF): // only comments
		doc = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{mapping()}}
	case err != nil:
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one YAML document", name)
	}
	budget := maxNodes
	t := &Tree{root: resolve(doc.Content[0], &budget), source: map[*yaml.Node]string{}}
	if t.root == nil {
		return nil, fmt.Errorf("%s: more than %d values after expanding aliases", name, maxNodes)
	}
	if t.root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: want key: value lines, got %s", name, describe(t.root))
	}
	t.mark(t.root, name)
	if err := t.duplicates(t.root, nil); err != nil {
		return nil, err
	}
	return t, nil
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

// resolve replaces aliases by their values. The budget of nodes guards against aliases
// that multiply or contain themselves; the result is nil if it is exceeded.
func resolve(n *yaml.Node, budget *int) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if *budget--; *budget < 0 {
		return nil
	}
	c := *n
	c.Anchor, c.Content = "", make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		if c.Content[i] = resolve(child, budget); c.Content[i] == nil {
			return nil
		}
	}
	return &c
}

func (t *Tree) mark(n *yaml.Node, name string) {
	t.source[n] = name
	for _, child := range n.Content {
		t.mark(child, name)
	}
}

func (t *Tree) duplicates(n *yaml.Node, path []string) error {
	var all []error
	if n.Kind == yaml.MappingNode {
		seen := map[string]bool{}
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if seen[key] {
				all = append(all, t.problem(n.Content[i], append(path, key), "given twice"))
			}
			seen[key] = true
			all = append(all, t.duplicates(n.Content[i+1], append(path, key)))
		}
	}
	return errors.Join(all...)
}

// Has reports whether there is a top-level key.
func (t *Tree) Has(key string) bool {
	for i := 0; i < len(t.root.Content); i += 2 {
		if t.root.Content[i].Value == key {
			return true
		}
	}
	return false
}

// Take removes a top-level key and decodes its value into v; without the key, v is
// unchanged.
func (t *Tree) Take(key string, v any) error {
	for i := 0; i < len(t.root.Content); i += 2 {
		if t.root.Content[i].Value != key {
			continue
		}
		node := t.root.Content[i+1]
		t.root.Content = append(t.root.Content[:i:i], t.root.Content[i+2:]...)
		return errors.Join(t.decode(node, []string{key}, reflect.ValueOf(v).Elem())...)
	}
	return nil
}

// Set makes a tree from a command-line assignment such as agent.batch=256 or
// agent.batch:256. The value is YAML.
func Set(assignment string) (*Tree, error) {
	i := strings.IndexAny(assignment, "=:")
	if i <= 0 {
		return nil, fmt.Errorf("--set %s: want key=value, such as steps=1000 or env.id=Hopper-v5", assignment)
	}
	key, text := strings.TrimSpace(assignment[:i]), assignment[i+1:]
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("--set %s: the value is not valid YAML: %s", assignment, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
	if doc.Kind == yaml.DocumentNode {
		budget := maxNodes
		if value = resolve(doc.Content[0], &budget); value == nil {
			return nil, fmt.Errorf("--set %s: more than %d values", assignment, maxNodes)
		}
	}
	parts := strings.Split(key, ".")
	for i := len(parts) - 1; i >= 0; i-- {
		m := mapping()
		m.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: parts[i]}, value}
		value = m
	}
	t := &Tree{root: value, source: map[*yaml.Node]string{}}
	t.mark(value, "--set "+assignment)
	return t, nil
}

// An Error reports a problem with one key.
type Error struct {
	Key   string // path, such as policy.hidden
	Place string // file:line or flag; empty if several keys are involved
	What  string
}

func (e *Error) Error() string {
	text := e.What
	for _, before := range []string{e.Key, e.Place} {
		if before != "" {
			text = before + ": " + text
		}
	}
	return text
}

func (t *Tree) problem(n *yaml.Node, path []string, format string, args ...any) error {
	return &Error{strings.Join(path, "."), t.place(n), fmt.Sprintf(format, args...)}
}
