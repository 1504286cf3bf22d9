package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// violated checks a value against a want tag and returns what is wanted if it does not
// hold. The elements of a list are checked one by one.
func violated(want string, v reflect.Value) string {
	if want == "" {
		return ""
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			if why := violated(want, v.Index(i)); why != "" {
				return why
			}
		}
		return ""
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return violated(want, v.Elem())
	case reflect.String:
		if names := strings.Split(want, "|"); !slices.Contains(names, v.String()) {
			return fmt.Sprintf("%q is unknown%s", v.String(), allowed(v.String(), names))
		}
		return ""
	}
	x := number(v)
	for _, bound := range strings.Split(want, ",") {
		op, text, ok := strings.Cut(strings.TrimSpace(bound), " ")
		limit, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil {
			panic(fmt.Sprintf("settings: want tag %q", want))
		}
		holds := map[string]bool{">": x > limit, ">=": x >= limit, "<": x < limit, "<=": x <= limit}[op]
		if !holds {
			return fmt.Sprintf("%v: want %s", v.Interface(), want)
		}
	}
	return ""
}

func number(v reflect.Value) float64 {
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	}
	return v.Float()
}

// allowed completes a message about an unknown name with the nearest known one, if it is
// close, and with all of them.
func allowed(name string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	list := "; allowed: " + strings.Join(known, ", ")
	if near := Nearest(name, known); near != "" {
		return fmt.Sprintf("; did you mean %s?%s", near, list)
	}
	return list
}

// Nearest returns the known name most similar to a misspelt one, or "".
func Nearest(name string, known []string) string {
	best, least := "", len(name)/2+1 // beyond half of its letters, it is another word
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" || name == "" {
		return best
	}
	for _, k := range known { // part of a longer name: lr of actor_lr
		if len(name) > 1 && strings.Contains(k, name) {
			return k
		}
	}
	return ""
}

// distance is the number of insertions, deletions, substitutions and transpositions of
// letters (optimal string alignment).
func distance(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := append(make([]int, 0, len(b)+1), i)
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			row = append(row, d)
		}
		before, last = last, row
	}
	return last[len(b)]
}
