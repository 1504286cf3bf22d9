package settings

import (
	"reflect"
	"slices"
	"strings"
)

// validate calls Validate on every struct in v, inner ones first. A struct is skipped if
// one inside it failed.
func validate(v reflect.Value, path []string) []error {
	if k, ok := asChoice(v); ok {
		_, value := k.current()
		if value == nil {
			return nil
		}
		return validate(reflect.ValueOf(value), path)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return validate(v.Elem(), path)
	case reflect.Slice:
		var all []error
		for i := range v.Len() {
			all = append(all, validate(v.Index(i), path)...)
		}
		return all
	case reflect.Struct:
		var all []error
		for _, f := range fieldsOf(v.Type()) {
			all = append(all, validate(v.FieldByIndex(f.index), append(slices.Clip(path), f.key))...)
		}
		if len(all) == 0 {
			all = ask(v, path)
		}
		return all
	}
	return nil
}

// ask calls a struct's Validate and splits joined errors.
func ask(v reflect.Value, path []string) []error {
	at := reflect.New(v.Type()) // the method may be the pointer's
	at.Elem().Set(v)
	check, ok := at.Interface().(interface{ Validate() error })
	if !ok {
		return nil
	}
	err := check.Validate()
	if err == nil {
		return nil
	}
	errs := []error{err}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		errs = many.Unwrap()
	}
	var all []error
	for _, e := range errs {
		all = append(all, &Error{Key: strings.Join(path, "."), What: e.Error()})
	}
	return all
}
