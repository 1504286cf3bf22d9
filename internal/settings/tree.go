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
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

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
		return nil, fmt.Errorf("%s: %s%s", name, strings.TrimPrefix(err.Error(), "yaml: "), cause(data))
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

// cause explains why YAML rejects a file, if that is known.
func cause(data []byte) string {
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return "; this is not a text in UTF-8: save it as one"
	}
	for i, line := range strings.Split(string(data), "\n") {
		if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") {
			return fmt.Sprintf("; line %d is indented with a tab: YAML wants spaces", i+1)
		}
	}
	return ""
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
	if c.Kind == yaml.MappingNode {
		c.Content = spread(c.Content)
	}
	return &c
}

// spread replaces a key << by those keys of its mapping, or list of mappings, that are
// not given beside it. The first mapping takes precedence.
func spread(content []*yaml.Node) []*yaml.Node {
	var out, merged []*yaml.Node
	given := map[string]bool{}
	for i := 0; i < len(content); i += 2 {
		key, value := content[i], content[i+1]
		from := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			from = value.Content
		}
		isOther := func(n *yaml.Node) bool { return n.Kind != yaml.MappingNode }
		if key.ShortTag() != "!!merge" || len(from) == 0 || slices.ContainsFunc(from, isOther) {
			out = append(out, key, value)
			given[key.Value] = true
			continue
		}
		for _, m := range from {
			merged = append(merged, m.Content...)
		}
	}
	for i := 0; i < len(merged); i += 2 {
		if key := merged[i].Value; !given[key] {
			out = append(out, merged[i], merged[i+1])
			given[key] = true
		}
	}
	return out
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
	if n.Kind == yaml.SequenceNode {
		for i, item := range n.Content {
			all = append(all, t.duplicates(item, indexed(path, i)))
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
	parts := strings.Split(key, ".")
	if slices.Contains(parts, "") || strings.ContainsAny(key, "\"'[]{}") {
		return nil, fmt.Errorf("--set %s: a key is names joined by dots; set others in a mapping, such as env.kwargs={\"a.b\": 1}", assignment)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		instead := ""
		if !strings.ContainsAny(text, "[{") {
			instead = fmt.Sprintf("; if it is a text, quote it: %s=%s", key, strconv.Quote(text))
		}
		return nil, fmt.Errorf("--set %s: the value is not valid YAML: %s%s", assignment, strings.TrimPrefix(err.Error(), "yaml: "), instead)
	}
	if commented(&doc) || doc.Kind == 0 && strings.TrimSpace(text) != "" {
		return nil, fmt.Errorf("--set %s: in YAML, # begins a comment; if it is part of a text, quote it: %s=%s", assignment, key, strconv.Quote(text))
	}
	value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
	if doc.Kind == yaml.DocumentNode {
		budget := maxNodes
		if value = resolve(doc.Content[0], &budget); value == nil {
			return nil, fmt.Errorf("--set %s: more than %d values", assignment, maxNodes)
		}
	}
	for i := len(parts) - 1; i >= 0; i-- {
		m := mapping()
		m.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: parts[i]}, value}
		value = m
	}
	t := &Tree{root: value, source: map[*yaml.Node]string{}}
	t.mark(value, "--set "+assignment)
	if err := t.duplicates(t.root, nil); err != nil {
		return nil, err
	}
	return t, nil
}

func commented(n *yaml.Node) bool {
	return n.HeadComment+n.LineComment+n.FootComment != "" || slices.ContainsFunc(n.Content, commented)
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
