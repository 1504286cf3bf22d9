package envbridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
)

// encodeKwargs encodes keyword arguments as JSON so that Python reads back the same
// types: a whole float64 stays a float. A value that JSON cannot represent is an error
// with its key.
func encodeKwargs(kwargs map[string]any) (string, error) {
	if len(kwargs) == 0 {
		return "", nil
	}
	text, err := appendJSON(nil, "env.kwargs", reflect.ValueOf(kwargs))
	return string(text), err
}

func appendJSON(to []byte, key string, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(to, "null"...), nil
	}
	if n, ok := v.Interface().(json.Number); ok {
		if !json.Valid([]byte(n)) {
			return nil, fmt.Errorf("%s: %q is not a number", key, string(n))
		}
		return append(to, n...), nil
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return appendJSON(to, key, v.Elem())
	case reflect.Map:
		return appendObject(to, key, v)
	case reflect.Slice, reflect.Array:
		to = append(to, '[')
		for i := range v.Len() {
			if i > 0 {
				to = append(to, ',')
			}
			var err error
			if to, err = appendJSON(to, fmt.Sprintf("%s[%d]", key, i), v.Index(i)); err != nil {
				return nil, err
			}
		}
		return append(to, ']'), nil
	case reflect.Float32, reflect.Float64:
		x := v.Float()
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%s: %v: arguments are passed as JSON, which has only finite numbers", key, x)
		}
		from := len(to)
		to = strconv.AppendFloat(to, x, 'g', -1, v.Type().Bits())
		if !bytes.ContainsAny(to[from:], ".e") { // 1 would be an integer
			to = append(to, ".0"...)
		}
		return to, nil
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be passed as JSON; use numbers, strings, booleans, lists and mappings", key)
	}
	return append(to, text...), nil
}

func appendObject(to []byte, key string, v reflect.Value) ([]byte, error) {
	if v.Type().Key().Kind() != reflect.String && v.Type().Key().Kind() != reflect.Interface {
		return nil, errTextKeys(key)
	}
	names := make([]string, 0, v.Len())
	values := map[string]reflect.Value{}
	for entries := v.MapRange(); entries.Next(); {
		name := entries.Key()
		if name.Kind() == reflect.Interface {
			name = name.Elem()
		}
		if name.Kind() != reflect.String {
			return nil, errTextKeys(key)
		}
		names = append(names, name.String())
		values[name.String()] = entries.Value()
	}
	slices.Sort(names)
	to = append(to, '{')
	for i, name := range names {
		if i > 0 {
			to = append(to, ',')
		}
		text, err := json.Marshal(name)
		if err != nil {
			return nil, errors.Join(errTextKeys(key), err)
		}
		to = append(append(to, text...), ':')
		if to, err = appendJSON(to, key+"."+name, values[name]); err != nil {
			return nil, err
		}
	}
	return append(to, '}'), nil
}

func errTextKeys(key string) error {
	return fmt.Errorf("%s: arguments are passed as JSON, which has only strings as keys", key)
}
