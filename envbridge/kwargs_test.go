package envbridge

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// Ensure that arguments keep their types on the way to Python, and that what JSON
// can't say is refused by its key, without words of Go's.
func TestKwargs(t *testing.T) {
	type level int
	for _, c := range []struct {
		kwargs map[string]any
		want   string
	}{
		{nil, ""},
		{map[string]any{}, ""},
		{map[string]any{"b": 1.0, "a": 1, "c": 1e6, "d": 2.5e-7, "e": float32(0.1), "f": 1e300}, `{"a":1,"b":1.0,"c":1e+06,"d":2.5e-07,"e":0.1,"f":1e+300}`},
		{map[string]any{"n": nil, "t": true, "s": "ü\"\n", "u": uint64(math.MaxUint64), "l": level(3)}, `{"l":3,"n":null,"s":"ü\"\n","t":true,"u":18446744073709551615}`},
		{map[string]any{"x": []any{1, 1.0, "1", []float64{2}}, "m": map[string]any{"g": math.Copysign(0, -1)}}, `{"m":{"g":-0.0},"x":[1,1.0,"1",[2.0]]}`},
		{map[string]any{"m": map[any]any{"k": 1}}, `{"m":{"k":1}}`},
		{map[string]any{"n": json.Number("123456789012345678901234567890")}, `{"n":123456789012345678901234567890}`},
	} {
		if got, err := encodeKwargs(c.kwargs); err != nil || got != c.want {
			t.Errorf("%v: %s, %v; want %s", c.kwargs, got, err, c.want)
		}
	}
	for want, value := range map[string]any{
		"env.kwargs.x: NaN":                                 math.NaN(),
		"env.kwargs.x.y[1]: +Inf":                           map[string]any{"y": []any{0, math.Inf(1)}},
		"env.kwargs.x: arguments are passed as JSON, which": map[int]int{1: 2},
		"env.kwargs.x: arguments are passed as JSON":        map[any]any{1: 2},
		"env.kwargs.x: cannot be passed as JSON":            func() {},
		"env.kwargs.x.y: cannot be passed":                  map[string]any{"y": make(chan int)},
		"env.kwargs.x: \"one\" is not a number":             json.Number("one"),
		"env.kwargs.x[0]: cannot be passed as JSON":         []complex128{1},
	} {
		got, err := encodeKwargs(map[string]any{"x": value})
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "interface") || strings.Contains(err.Error(), "json:") {
			t.Errorf("%v: %q, %v; want %s", value, got, err, want)
		}
	}
}
