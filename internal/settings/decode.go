package settings

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// Decode sets the fields of the struct that v points to, one layer after another. A key
// that a layer lacks leaves its field as it is. If a layer changes the kind of a Kind,
// the defaults of the new kind apply.
func Decode(v any, layers ...*Tree) error {
	at := reflect.ValueOf(v).Elem()
	var all []error
	for _, t := range layers {
		all = append(all, t.decode(t.root, nil, at)...)
	}
	if len(all) == 0 {
		all = validate(at, nil)
	}
	return errors.Join(all...)
}

// A Kind is a setting with several variants. The key "kind" selects one of Of, and the
// other keys are the variant's settings. The functions in Of return the variant with its
// defaults, a struct or a pointer to one. Null selects none: Name is empty.
type Kind[T any] struct {
	Name  string
	Value T
	Of    map[string]func() T
}

// choice is the part of a Kind that the decoder needs, for any T.
type choice interface {
	current() (name string, value any)
	known() []string
	make(name string) any
	set(name string, value any)
	clear()
}

func (k *Kind[T]) current() (string, any) { return k.Name, k.Value }
func (k *Kind[T]) make(name string) any   { return k.Of[name]() }
func (k *Kind[T]) set(name string, v any) { k.Name, k.Value = name, v.(T) }
func (k *Kind[T]) clear()                 { k.Name, k.Value = "", *new(T) }
func (k *Kind[T]) known() []string {
	var names []string
	for name := range k.Of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (t *Tree) decode(n *yaml.Node, path []string, v reflect.Value) []error {
	one := func(format string, args ...any) []error {
		return []error{t.problem(n, path, format, args...)}
	}
	if v.CanAddr() {
		switch target := v.Addr().Interface().(type) {
		case choice:
			return t.decodeKind(n, path, target)
		case *time.Duration:
			d, err := time.ParseDuration(n.Value)
			if err != nil || n.Kind != yaml.ScalarNode {
				return one("%s: want a duration such as 30s or 1h", describe(n))
			}
			*target = d
			return nil
		case encoding.TextUnmarshaler:
			if n.Kind != yaml.ScalarNode {
				return one("want one value, got %s", describe(n))
			}
			if err := target.UnmarshalText([]byte(n.Value)); err != nil {
				return one("%s", err)
			}
			return nil
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		return t.decodeStruct(n, path, v)
	case reflect.Pointer:
		if n.Tag == "!!null" {
			v.SetZero()
			return nil
		}
		fresh := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			fresh.Elem().Set(v.Elem())
		}
		v.Set(fresh)
		return t.decode(n, path, v.Elem())
	case reflect.Slice:
		return t.decodeSlice(n, path, v)
	case reflect.Map:
		return t.decodeMap(n, path, v)
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return one("want %s, got %s", kindName(v), describe(n))
	}
	if why := scalar(n, v); why != "" {
		return one("%s", why)
	}
	return nil
}

func (t *Tree) decodeStruct(n *yaml.Node, path []string, v reflect.Value) []error {
	if n.Kind != yaml.MappingNode {
		return []error{t.problem(n, path, "want settings, got %s", describe(n))}
	}
	var all []error
	fields := fieldsOf(v.Type())
	before, kind := kindOf(n, fields, v)
	if kind != before {
		change(fields, v, before, kind)
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := append(slices.Clip(path), key.Value)
		f := slices.IndexFunc(fields, func(f field) bool { return f.key == key.Value })
		switch {
		case f < 0 && isRetired(v, key.Value), f >= 0 && t.anyKind && !fields[f].of(kind):
			continue
		case f >= 0 && !fields[f].of(kind):
			all = append(all, t.problem(key, at, "%s", otherKind(fields[f], kind, fields)))
			continue
		case f < 0:
			all = append(all, t.problem(key, at, "unknown key%s", allowed(key.Value, keys(ofKind(fields, kind)))))
			continue
		}
		target := v.FieldByIndex(fields[f].index)
		errs := t.decode(value, at, target)
		if len(errs) == 0 {
			if why := violated(fields[f].want, target); why != "" {
				errs = []error{t.problem(value, at, "%s", why)}
			}
		}
		all = append(all, errs...)
	}
	return all
}

func (t *Tree) decodeKind(n *yaml.Node, path []string, k choice) []error {
	if n.Tag == "!!null" {
		k.clear()
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return []error{t.problem(n, path, "want settings with a kind, got %s", describe(n))}
	}
	name, value := k.current()
	rest := *n
	rest.Content = nil
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value != "kind" {
			rest.Content = append(rest.Content, n.Content[i], n.Content[i+1])
			continue
		}
		picked := n.Content[i+1].Value
		if !slices.Contains(k.known(), picked) {
			return []error{t.problem(n.Content[i+1], append(slices.Clip(path), "kind"), "%q is unknown%s", picked, allowed(picked, k.known()))}
		}
		if picked != name {
			name, value = picked, nil
		}
	}
	if name == "" {
		return []error{t.problem(n, path, "needs a kind%s", allowed("", k.known()))}
	}
	if value == nil {
		value = k.make(name)
	}
	v := reflect.ValueOf(value)
	isPointer := v.Kind() == reflect.Pointer
	fresh := reflect.New(reflect.Indirect(v).Type())
	fresh.Elem().Set(reflect.Indirect(v))
	t.source[&rest] = t.source[n]
	if errs := t.decode(&rest, path, fresh.Elem()); len(errs) > 0 {
		return errs
	}
	if !isPointer {
		fresh = fresh.Elem()
	}
	k.set(name, fresh.Interface())
	return nil
}

func (t *Tree) decodeSlice(n *yaml.Node, path []string, v reflect.Value) []error {
	if n.Kind != yaml.SequenceNode {
		instead := ""
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
			instead = fmt.Sprintf("; a list of one is [%s]", n.Value)
		}
		return []error{t.problem(n, path, "want a list, got %s%s", describe(n), instead)}
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	var all []error
	for i, item := range n.Content {
		all = append(all, t.decode(item, indexed(path, i), out.Index(i))...)
	}
	v.Set(out)
	return all
}

// indexed is the path of a list element.
func indexed(path []string, i int) []string {
	at := slices.Clone(path)
	at[len(at)-1] += fmt.Sprintf("[%d]", i)
	return at
}

// decodeMap merges a mapping into the existing one, key by key; null empties it.
func (t *Tree) decodeMap(n *yaml.Node, path []string, v reflect.Value) []error {
	if n.ShortTag() == "!!null" {
		v.SetZero()
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return []error{t.problem(n, path, "want key: value lines, got %s", describe(n))}
	}
	if known, free := v.Interface().(map[string]any); free {
		out, errs := t.freeMap(n, path, known)
		v.Set(reflect.ValueOf(out))
		return errs
	}
	out := reflect.MakeMap(v.Type())
	for _, key := range v.MapKeys() {
		out.SetMapIndex(key, v.MapIndex(key))
	}
	var all []error
	for i := 0; i < len(n.Content); i += 2 {
		value := reflect.New(v.Type().Elem()).Elem()
		all = append(all, t.decode(n.Content[i+1], append(slices.Clip(path), n.Content[i].Value), value)...)
		out.SetMapIndex(reflect.ValueOf(n.Content[i].Value).Convert(v.Type().Key()), value)
	}
	v.Set(out)
	return all
}

// scalar sets a number, boolean or string, or returns what is wrong.
func scalar(n *yaml.Node, v reflect.Value) string {
	wrong := fmt.Sprintf("want %s, got %s", kindName(v), describe(n))
	text := strings.ReplaceAll(n.Value, "_", "")
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		b, err := strconv.ParseBool(n.Value)
		if err != nil || n.Tag != "!!bool" {
			return wrong
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil { // 1e6 is an integer too
			f, e := strconv.ParseFloat(text, 64)
			if e != nil || f != math.Trunc(f) || math.IsInf(f, 0) {
				return wrong
			}
			if math.Abs(f) > 1<<53 {
				return tooLarge(n, 1<<(v.Type().Bits()-1)-1)
			}
			i = int64(f)
		}
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 || v.OverflowInt(i) {
			return wrong
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		u, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			f, e := strconv.ParseFloat(text, 64)
			if e != nil || f != math.Trunc(f) || f < 0 || math.IsInf(f, 0) {
				return wrong
			}
			if f > 1<<53 {
				return tooLarge(n, 1<<v.Type().Bits()-1)
			}
			u = uint64(f)
		}
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 || v.OverflowUint(u) {
			return wrong
		}
		v.SetUint(u)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(strings.Replace(text, ".inf", "inf", 1), 64)
		if err != nil || math.IsNaN(f) || n.Tag == "!!str" && n.Style != 0 {
			return wrong
		}
		v.SetFloat(f)
	default:
		return "package settings can't set a " + v.Type().String()
	}
	return ""
}

// tooLarge describes a whole number that is out of range. In the notation 1e18, numbers
// beyond 2⁵³ are not exact and refused too.
func tooLarge(n *yaml.Node, largest uint64) string {
	return fmt.Sprintf("%s is out of range; the largest number is %d, written with all its digits", describe(n), largest)
}

type field struct {
	key, want string
	kinds     []string // kinds that have the field; none: all (kinds.go)
	start     string   // default as YAML
	index     []int
}

// fieldsOf lists the fields of a struct that YAML can set, including those of embedded
// structs.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || key == "-" {
			continue
		}
		if f.Type.Kind() == reflect.Struct && (options == "inline" || f.Anonymous && key == "") {
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				all = append(all, inner)
			}
			continue
		}
		if key == "" {
			key = snake(f.Name)
		}
		var kinds []string
		if tag := f.Tag.Get("kinds"); tag != "" {
			kinds = strings.Split(tag, "|")
		}
		all = append(all, field{key, f.Tag.Get("want"), kinds, f.Tag.Get("default"), []int{i}})
	}
	return all
}

func keys(fields []field) []string {
	var all []string
	for _, f := range fields {
		all = append(all, f.key)
	}
	return all
}

// snake converts LearningRate to learning_rate and UTDRatio to utd_ratio.
func snake(name string) string {
	var out []rune
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 {
			afterLower := !unicode.IsUpper(runes[i-1])
			beforeLower := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if afterLower || beforeLower {
				out = append(out, '_')
			}
		}
		out = append(out, unicode.ToLower(r))
	}
	return string(out)
}

func kindName(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		return "a whole number ≥ 0"
	}
	return "a whole number"
}

func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "settings of its own"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return strconv.Quote(n.Value)
}
