package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A struct whose field "kind" says which of its other fields mean something tags those
// with the kinds that have them, and with what they start from when such a kind is
// chosen (zero without that tag):
//
//	Kind   string  `yaml:"kind"`
//	Rate   float64 `yaml:"rate" kinds:"decaying" default:"0.9"`
//
// A key of another kind is then an error, and Encode leaves it out. It is Kind for
// settings that are read through one Go type.

// kindOf is the kind that a struct has once n is laid over it; empty without a kind.
func kindOf(n *yaml.Node, fields []field, v reflect.Value) (before, after string) {
	for _, f := range fields {
		if at := v.FieldByIndex(f.index); f.key == "kind" && at.Kind() == reflect.String {
			before, after = at.String(), at.String()
		}
	}
	for i := 0; n != nil && i < len(n.Content); i += 2 {
		if n.Content[i].Value == "kind" {
			after = n.Content[i+1].Value
		}
	}
	return before, after
}

// of says whether a field means something for a kind.
func (f field) of(kind string) bool {
	return len(f.kinds) == 0 || kind == "" || slices.Contains(f.kinds, kind)
}

// change empties the fields that the new kind does not have, and gives those that the
// old one did not have what they start from.
func change(fields []field, v reflect.Value, before, after string) {
	for _, f := range fields {
		at := v.FieldByIndex(f.index)
		switch {
		case len(f.kinds) == 0:
		case !f.of(after):
			at.SetZero()
		case before == "" && !at.IsZero(): // set in Go
		case before == "" || !f.of(before):
			at.SetZero()
			if f.start == "" {
				continue
			}
			if err := yaml.Unmarshal([]byte(f.start), at.Addr().Interface()); err != nil {
				panic(fmt.Sprintf("settings: default %q of key %s: %v", f.start, f.key, err)) // a wrong tag
			}
		}
	}
}

// otherKind is the error of a key that the kind does not have.
func otherKind(f field, kind string) string {
	verb := "has"
	if len(f.kinds) > 1 {
		verb = "have"
	}
	return fmt.Sprintf("kind %s has no %s (%s %s)", kind, f.key, strings.Join(f.kinds, ", "), verb)
}

// retired is implemented by settings with keys that earlier versions read: they are
// still accepted, and ignored.
type retired interface{ RetiredKeys() []string }

func isRetired(v reflect.Value, key string) bool {
	if !v.CanAddr() {
		return false
	}
	r, ok := v.Addr().Interface().(retired)
	return ok && slices.Contains(r.RetiredKeys(), key)
}

// Recorded marks a tree as written by Stein and not by a person: keys of other kinds
// are ignored, as earlier versions wrote them out.
func (t *Tree) Recorded() *Tree {
	t.recorded = true
	return t
}
