package settings

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Get decodes the value of a top-level key into v; without the key, v is unchanged.
func (t *Tree) Get(key string, v any) error {
	if node := child(t.root, key); node != nil {
		return errors.Join(t.decode(node, []string{key}, reflect.ValueOf(v).Elem())...)
	}
	return nil
}

// Move moves a value from one path of keys to another, such as from agent.batch_size to
// schedule.batch_size. It returns where the value stood, file:line or flag, or "" if
// there was none. It is an error if the other path has a value too.
func (t *Tree) Move(from, to string) (place string, err error) {
	path := strings.Split(from, ".")
	parents := []*yaml.Node{t.root}
	for _, key := range path[:len(path)-1] {
		next := child(parents[len(parents)-1], key)
		if next == nil {
			return "", nil
		}
		parents = append(parents, next)
	}
	parent := parents[len(parents)-1]
	at := index(parent, path[len(path)-1])
	if at < 0 {
		return "", nil
	}
	key, value := parent.Content[at], parent.Content[at+1]
	if err := t.put(to, key, value); err != nil {
		return "", err
	}
	remove(parent, at)
	for i := len(parents) - 1; i > 0 && len(parents[i].Content) == 0; i-- { // remove emptied mappings
		remove(parents[i-1], index(parents[i-1], path[i-1]))
	}
	return t.place(key), nil
}

// Default sets a path to a text if its parent mapping exists and lacks the key.
func (t *Tree) Default(path, text string) {
	keys := strings.Split(path, ".")
	parent := t.root
	for _, key := range keys[:len(keys)-1] {
		if parent = child(parent, key); parent == nil || parent.Kind != yaml.MappingNode {
			return
		}
	}
	if name := keys[len(keys)-1]; index(parent, name) < 0 {
		value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: parent.Line}
		t.source[value] = t.source[parent]
		parent.Content = append(parent.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, value)
	}
}

// put sets a value at a path and creates the mappings on the way.
func (t *Tree) put(path string, key, value *yaml.Node) error {
	keys := strings.Split(path, ".")
	parent := t.root
	for i, name := range keys[:len(keys)-1] {
		next := child(parent, name)
		if next == nil {
			next = mapping()
			next.Line, t.source[next] = key.Line, t.source[key]
			parent.Content = append(parent.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: key.Line}, next)
		}
		if next.Kind != yaml.MappingNode {
			return t.problem(next, keys[:i+1], "want settings, got %s", describe(next))
		}
		parent = next
	}
	last := keys[len(keys)-1]
	if index(parent, last) >= 0 {
		return t.problem(key, keys, "given twice, the other time by its old name")
	}
	renamed := *key
	renamed.Value = last
	t.source[&renamed] = t.source[key]
	parent.Content = append(parent.Content, &renamed, value)
	return nil
}

// index is the position of a key in a mapping, or −1.
func index(n *yaml.Node, key string) int {
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return i
			}
		}
	}
	return -1
}

func child(n *yaml.Node, key string) *yaml.Node {
	if i := index(n, key); i >= 0 {
		return n.Content[i+1]
	}
	return nil
}

func remove(n *yaml.Node, at int) { n.Content = slices.Delete(slices.Clone(n.Content), at, at+2) }

// place is the source of a node: file:line, or the flag.
func (t *Tree) place(n *yaml.Node) string {
	place := t.source[n]
	if n.Line > 0 && !strings.HasPrefix(place, "--") {
		place = fmt.Sprintf("%s:%d", place, n.Line)
	}
	return place
}
