package settings

import (
	"bytes"
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"
)

// Encode writes a struct as YAML that Decode reads back to equal values.
func Encode(v any) ([]byte, error) {
	node, err := encode(reflect.ValueOf(v))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(node); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	return out.Bytes(), enc.Close()
}

func encode(v reflect.Value) (*yaml.Node, error) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
	if k, ok := asChoice(v); ok {
		return encodeKind(k)
	}
	switch x := v.Interface().(type) {
	case map[string]any:
		return encodeFree(x)
	case time.Duration:
		return text(x.String()), nil
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		return text(string(b)), err
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return encode(v.Elem())
	case reflect.Struct:
		out := mapping()
		fields := fieldsOf(v.Type())
		_, kind := kindOf(nil, fields, v)
		for _, f := range fields {
			if !f.of(kind) {
				continue
			}
			value, err := encode(v.FieldByIndex(f.index))
			if value == nil && err == nil {
				continue // no kind was chosen
			}
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, text(f.key), value)
		}
		return out, nil
	case reflect.Slice:
		out := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			value, err := encode(v.Index(i))
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, value)
		}
		return out, nil
	case reflect.Float32, reflect.Float64:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: float(v.Float(), v.Type().Bits())}, nil
	}
	out := &yaml.Node{}
	if err := out.Encode(v.Interface()); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	if v.Kind() == reflect.Map {
		out.Style = yaml.FlowStyle
	}
	return out, nil
}

func asChoice(v reflect.Value) (choice, bool) {
	if v.Kind() != reflect.Struct {
		return nil, false
	}
	at := reflect.New(v.Type())
	at.Elem().Set(v)
	k, ok := at.Interface().(choice)
	return k, ok
}

func encodeKind(k choice) (*yaml.Node, error) {
	name, value := k.current()
	if name == "" {
		return nil, nil
	}
	out := mapping()
	out.Content = append(out.Content, text("kind"), text(name))
	inner, err := encode(reflect.ValueOf(value))
	if err != nil {
		return nil, err
	}
	out.Content = append(out.Content, inner.Content...)
	return out, nil
}

func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

// float writes 0.0003 instead of 3e-04, with full precision.
func float(x float64, bits int) string {
	switch a := math.Abs(x); {
	case math.IsInf(x, 1):
		return ".inf"
	case math.IsInf(x, -1):
		return "-.inf"
	case a == 0 || a >= 1e-6 && a < 1e15:
		return strconv.FormatFloat(x, 'f', -1, bits)
	}
	return strconv.FormatFloat(x, 'g', -1, bits)
}
