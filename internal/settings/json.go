package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// FromJSON decodes JSON into v, a pointer to a struct or a map. It accepts a byte order
// mark in front, which editors add.
func FromJSON(data []byte, v any) error {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	switch {
	case len(data) == 0:
		return errors.New("it is empty")
	case bytes.Equal(data, []byte("null")):
		return errors.New("want an object, got null")
	}
	return JSONError(json.Unmarshal(data, v))
}

// JSONError says an error of package json in terms of the file: its own names Go types.
func JSONError(err error) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var date *time.ParseError
	switch {
	case errors.As(err, &kind):
		err = fmt.Errorf("want %s, got %s", jsonKind(kind.Type), jsonValue(kind.Value))
		if kind.Field != "" {
			err = fmt.Errorf("%s: %w", kind.Field, err)
		}
	case errors.As(err, &date):
		err = fmt.Errorf("want a time such as %s, got %.40q", time.Date(2026, 11, 24, 17, 0, 0, 0, time.UTC).Format(time.RFC3339), strings.Trim(date.Value, `"`))
	case errors.As(err, &syntax) && strings.Contains(syntax.Error(), "unexpected end"):
		err = errors.New("it is truncated")
	case errors.As(err, &syntax):
		err = fmt.Errorf("not JSON at byte %d: %w", syntax.Offset, err)
	}
	return err
}

func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number of at least 0 that fits"
	}
	return "a whole number that fits"
}

// jsonValue describes what package json found: string, array, or number 1.5.
func jsonValue(found string) string {
	words := map[string]string{"string": "text", "array": "a list", "number": "a number", "object": "an object", "bool": "true or false"}
	if word, ok := words[found]; ok {
		return word
	}
	return strings.TrimPrefix(found, "number ")
}
