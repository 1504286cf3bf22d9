package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// If the field "kind" of a struct determines which other fields apply, their tags list
// the kinds that have them, and the default of the field when such a kind is chosen (zero
// without the tag):
//
//	Kind   string  `yaml:"kind"`
//	Rate   float64 `yaml:"rate" kinds:"decaying" default:"0.9"`
//
// A key of another kind is then an error, and Encode omits it. It is the equivalent of
// Kind for settings with a single Go type.

// kindOf returns the kind of a struct before and after n is merged into it; empty without
// a kind.
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

// of reports whether a field applies to a kind.
func (f field) of(kind string) bool {
	return len(f.kinds) == 0 || kind == "" || slices.Contains(f.kinds, kind)
}

// change clears the fields that the new kind lacks, and sets those that the old kind
// lacked to their defaults.
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
				panic(fmt.Sprintf("settings: default %q of key %s: %v", f.start, f.key, err)) // a malformed tag
			}
		}
	}
}

// ofKind returns the fields that a kind has.
func ofKind(fields []field, kind string) []field {
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return !f.of(kind) })
}

// otherKind is the error for a key that the kind lacks: the kinds that have it, and the
// keys that this kind takes.
func otherKind(f field, kind string, fields []field) string {
	verb := "has"
	if len(f.kinds) > 1 {
		verb = "have"
	}
	takes := keys(slices.DeleteFunc(ofKind(fields, kind), func(f field) bool { return f.key == "kind" }))
	if len(takes) == 0 {
		takes = []string{"no other key"}
	}
	return fmt.Sprintf("kind %s has no %s (%s %s); it takes %s", kind, f.key, strings.Join(f.kinds, ", "), verb, strings.Join(takes, ", "))
}

// retired is implemented by settings with keys of earlier versions, which are accepted
// and ignored.
type retired interface{ RetiredKeys() []string }

func isRetired(v reflect.Value, key string) bool {
	if !v.CanAddr() {
		return false
	}
	r, ok := v.Addr().Interface().(retired)
	return ok && slices.Contains(r.RetiredKeys(), key)
}

// AnyKind makes Decode ignore keys of other kinds in this tree. It is for files that Stein
// wrote, since earlier versions wrote the keys of all kinds, and for settings that apply to
// whichever kind another layer selects.
func (t *Tree) AnyKind() *Tree {
	t.anyKind = true
	return t
}
