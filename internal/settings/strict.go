package settings

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Strict decodes a small YAML file into a struct with yaml tags. An unknown key is an
// error. Errors name the line and what is wanted: package yaml's own name Go types.
func Strict(data []byte, v any) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil // an empty file
	}
	var kinds *yaml.LoadErrors
	if !errors.As(err, &kinds) {
		if err != nil {
			err = errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
		}
		return err
	}
	var all []error
	for _, e := range kinds.Errors {
		text := inWords(e.Message, reflect.TypeOf(v).Elem())
		all = append(all, fmt.Errorf("line %d: %s", e.Mark.Line, text))
	}
	return errors.Join(all...)
}

var (
	twice     = regexp.MustCompile(`^line \d+: `) // from our own UnmarshalYAML
	unknown   = regexp.MustCompile(`field (.+) not found in type .*`)
	wrongKind = regexp.MustCompile(`cannot construct !!\w+ ?(.*) into (\S+)(.*)`)
)

func inWords(text string, t reflect.Type) string {
	text = twice.ReplaceAllString(text, "")
	if m := unknown.FindStringSubmatch(text); m != nil {
		var keys []string
		if t.Kind() == reflect.Struct {
			for i := range t.NumField() {
				name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
				keys = append(keys, cmp.Or(name, strings.ToLower(t.Field(i).Name)))
			}
		}
		return strings.Replace(text, m[0], m[1]+": unknown key"+allowed(m[1], keys), 1)
	}
	if m := wrongKind.FindStringSubmatch(text); m != nil {
		got := strings.Trim(m[1], "`")
		if got == "" {
			got = "a list or key: value lines"
		}
		return strings.Replace(text, m[0], fmt.Sprintf("want %s, got %s", yamlKind(m[2]), got), 1)
	}
	return text
}

// yamlKind describes a Go type.
func yamlKind(name string) string {
	switch {
	case strings.HasPrefix(name, "[]"):
		return "a list"
	case name == "string":
		return "text"
	case name == "bool":
		return "true or false"
	case strings.HasPrefix(name, "float"):
		return "a number"
	case strings.HasPrefix(name, "int"), strings.HasPrefix(name, "uint"):
		return "a whole number"
	}
	return "key: value lines"
}
