package settings

import (
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// digits matches an integer as in JSON, but with underscores allowed.
var digits = regexp.MustCompile(`^[-+]?[1-9][0-9_]*$`)

// free decodes a value of unknown type, such as a keyword argument of an environment, as
// it is written: 1e6 is a float64, 1 an int, a date a string, and an integer too large
// for uint64 a json.Number. It rejects values that JSON cannot represent. A mapping is
// merged into old if that is one.
func (t *Tree) free(n *yaml.Node, path []string, old any) (any, []error) {
	switch n.Kind {
	case yaml.MappingNode:
		known, _ := old.(map[string]any)
		return t.freeMap(n, path, known)
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		var all []error
		for i, item := range n.Content {
			value, errs := t.free(item, indexed(path, i), nil)
			out[i], all = value, append(all, errs...)
		}
		return out, all
	}
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return nil, []error{t.problem(n, path, "%s: want true or false", describe(n))}
		}
		return b, nil
	case "!!int":
		return t.freeInt(n, path)
	case "!!float":
		if digits.MatchString(n.Value) { // too large for YAML's integers, not for Python's
			return json.Number(strings.TrimPrefix(strings.ReplaceAll(n.Value, "_", ""), "+")), nil
		}
		var f float64
		if err := n.Decode(&f); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, []error{t.problem(n, path, "%s: this is passed as JSON, which has only finite numbers; pass a string and convert it", describe(n))}
		}
		return f, nil
	}
	return n.Value, nil
}

func (t *Tree) freeInt(n *yaml.Node, path []string) (any, []error) {
	var i int
	if n.Decode(&i) == nil {
		return i, nil
	}
	var u uint64
	if n.Decode(&u) == nil {
		return u, nil
	}
	if x, ok := new(big.Int).SetString(strings.ReplaceAll(n.Value, "_", ""), 0); ok {
		return json.Number(x.String()), nil
	}
	return nil, []error{t.problem(n, path, "want a whole number, got %s", describe(n))}
}

// freeMap merges a mapping into an existing one.
func (t *Tree) freeMap(n *yaml.Node, path []string, known map[string]any) (map[string]any, []error) {
	out := make(map[string]any, len(known))
	for key, value := range known {
		out[key] = value
	}
	var all []error
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := append(slices.Clip(path), key.Value)
		if key.ShortTag() == "!!merge" {
			all = append(all, t.problem(value, at, "want key: value lines, got %s", describe(value)))
			continue
		}
		if key.Kind != yaml.ScalarNode || !isText(key) {
			instead := ""
			if key.Kind == yaml.ScalarNode {
				instead = ": write " + strconv.Quote(key.Value)
			}
			all = append(all, t.problem(key, path, "key %s: this is passed as JSON, which has only strings as keys%s", describe(key), instead))
			continue
		}
		decoded, errs := t.free(value, at, out[key.Value])
		out[key.Value], all = decoded, append(all, errs...)
	}
	return out, all
}

// isText reports whether a key is a string. A bare word is one, although YAML 1.1 reads
// some, such as y, as booleans.
func isText(key *yaml.Node) bool {
	switch key.ShortTag() {
	case "!!int", "!!float", "!!bool", "!!null":
		return false
	}
	return true
}

// encodeFree writes a value so that free reads back the same one.
func encodeFree(v any) (*yaml.Node, error) {
	switch x := v.(type) {
	case map[string]any:
		out := mapping()
		out.Style = yaml.FlowStyle
		keys := make([]string, 0, len(x))
		for key := range x {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			value, err := encodeFree(x[key])
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, text(key), value)
		}
		return out, nil
	case []any:
		out := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range x {
			value, err := encodeFree(item)
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, value)
		}
		return out, nil
	case string:
		return text(x), nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: x.String()}, nil
	case float64:
		written := float(x, 64)
		if !strings.ContainsAny(written, ".en") { // 1 would be an integer
			written += ".0"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Value: written}, nil
	}
	out := &yaml.Node{}
	return out, out.Encode(v)
}
