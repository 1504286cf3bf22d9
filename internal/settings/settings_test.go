package settings_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stein-rl/stein/internal/settings"
)

type shape interface{ Area() float64 }

type circle struct {
	Radius float64 `want:"> 0"`
}

func (c circle) Area() float64 { return math.Pi * c.Radius * c.Radius }

type box struct {
	Sides []int `want:"> 0, <= 9"`
	Name  string
}

func (b *box) Area() float64 { return float64(b.Sides[0] * b.Sides[1]) }
func (b *box) Validate() error {
	if len(b.Sides) != 2 {
		return fmt.Errorf("sides: %d of them, want 2", len(b.Sides))
	}
	return nil
}

type inner struct {
	Mode string `want:"slow|quick"`
	When time.Duration
	UTD  float64 `yaml:"update_to_data"`
}

type outer struct {
	Version   int
	Steps     int64 `want:"> 0"`
	Seed      *uint64
	On        bool
	Inner     inner
	Shape     settings.Kind[shape]
	EnvKwargs map[string]any
	hidden    int //lint:ignore U1000 that it is passed over is what is tested
	Skipped   int `yaml:"-"`
}

func fresh() *outer {
	return &outer{Steps: 7, Inner: inner{Mode: "slow", When: time.Second}, Shape: settings.Kind[shape]{
		Of: map[string]func() shape{
			"circle": func() shape { return circle{Radius: 2} },
			"box":    func() shape { return &box{Sides: []int{1, 2}, Name: "b"} },
		},
	}}
}

func decode(t *testing.T, text string, sets ...string) (*outer, error) {
	t.Helper()
	tree, err := settings.Parse("f.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	layers := []*settings.Tree{tree}
	for _, s := range sets {
		over, err := settings.Set(s)
		if err != nil {
			return nil, err
		}
		layers = append(layers, over)
	}
	v := fresh()
	return v, settings.Decode(v, layers...)
}

// Ensure that errors name the key's path, the place, what is allowed and what is near.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		sets       []string
		want       []string // one error each
	}{
		{"unknown key", "shape: {kind: circle}\nstpes: 3", nil,
			[]string{"f.yaml:2: stpes: unknown key; did you mean steps?; allowed: version, steps, seed, on, inner, shape, env_kwargs"}},
		{"unknown key below", "inner:\n  mod: slow", nil,
			[]string{"f.yaml:2: inner.mod: unknown key; did you mean mode?; allowed: mode, when, update_to_data"}},
		{"several at once", "steps: -1\ninner: {mode: fast}\non: 3", nil, []string{
			"f.yaml:1: steps: -1: want > 0",
			`f.yaml:2: inner.mode: "fast" is unknown; allowed: slow, quick`,
			`f.yaml:3: on: want true or false, got "3"`}},
		{"near value", "inner: {mode: quik}", nil,
			[]string{`f.yaml:1: inner.mode: "quik" is unknown; did you mean quick?; allowed: slow, quick`}},
		{"key of another kind", "shape: {kind: circle, sides: [1, 2]}", nil,
			[]string{"f.yaml:1: shape.sides: unknown key; allowed: radius"}},
		{"unknown kind", "shape: {kind: cirle}", nil,
			[]string{`f.yaml:1: shape.kind: "cirle" is unknown; did you mean circle?; allowed: box, circle`}},
		{"Validate sees the whole", "shape: {kind: box, sides: [1]}", []string{"shape.sides=[]"}, []string{"shape: sides: 0 of them, want 2"}},
		{"no kind", "shape: {radius: 1}", nil, []string{"f.yaml:1: shape: needs a kind; allowed: box, circle"}},
		{"a list's element", "shape: {kind: box, sides: [1, x]}", nil,
			[]string{`f.yaml:1: shape.sides[1]: want a whole number, got "x"`}},
		{"a list's bound", "shape: {kind: box, sides: [1, 10]}", nil, []string{"f.yaml:1: shape.sides: 10: want > 0, <= 9"}},
		{"Validate", "shape: {kind: box, sides: [1]}", nil, []string{"shape: sides: 1 of them, want 2"}},
		{"a half number", "steps: 2.5", nil, []string{`f.yaml:1: steps: want a whole number, got "2.5"`}},
		{"a quoted number", "steps: '2'", nil, []string{`f.yaml:1: steps: want a whole number, got "2"`}},
		{"a list for a number", "steps: [2]", nil, []string{`f.yaml:1: steps: want a whole number, got a list`}},
		{"nothing for a number", "steps:", nil, []string{`f.yaml:1: steps: want a whole number, got nothing`}},
		{"settings for text", "inner: 3", nil, []string{`f.yaml:1: inner: want settings, got "3"`}},
		{"bad duration", "inner: {when: soon}", nil, []string{`f.yaml:1: inner.when: "soon": want a duration such as 30s or 1h`}},
		{"twice", "steps: 1\nsteps: 2", nil, []string{"f.yaml:2: steps: given twice"}},
		{"no mapping", "- 1", nil, []string{"f.yaml: want key: value lines, got a list"}},
		{"no YAML", "a: [", nil, []string{"f.yaml: line 2: did not find expected node content"}},
		{"two documents", "steps: 1\n---\nsteps: 2", nil, []string{"f.yaml: more than one YAML document"}},
		{"an explosion", "a: &a [*a, *a, *a]", nil, []string{"f.yaml: more than 10000 values after expanding aliases"}},
		{"from the line", "steps: 1", []string{"inner.mode=fast"},
			[]string{`--set inner.mode=fast: inner.mode: "fast" is unknown; allowed: slow, quick`}},
		{"twice in a list", "env_kwargs: {x: [{a: 1, a: 2}]}", nil, []string{"f.yaml:1: env_kwargs.x[0].a: given twice"}},
		{"twice on the line", "steps: 1", []string{"env_kwargs={a: 1, a: 2}"}, []string{"--set env_kwargs={a: 1, a: 2}: env_kwargs.a: given twice"}},
		{"indented with a tab", "inner:\n\tmode: slow", nil,
			[]string{"f.yaml: line 2: found character that cannot start any token; line 2 is indented with a tab: YAML wants spaces"}},
		{"another encoding", "steps: 1 # gr\xf6\xdfe", nil,
			[]string{"f.yaml: incomplete UTF-8 octet sequence; this is not a text in UTF-8: save it as one"}},
		{"a text for a list", "shape: {kind: box, sides: 3}", nil, []string{`f.yaml:1: shape.sides: want a list, got "3"; a list of one is [3]`}},
		{"beyond the largest number", "steps: 9223372036854775808", nil,
			[]string{`f.yaml:1: steps: "9223372036854775808" is out of range; the largest number is 9223372036854775807, written with all its digits`}},
		{"beyond the largest seed", "seed: 18446744073709551616", nil,
			[]string{`f.yaml:1: seed: "18446744073709551616" is out of range; the largest number is 18446744073709551615, written with all its digits`}},
		{"nothing to merge", "inner: {<<: 3}", nil, []string{"f.yaml:1: inner.<<: unknown key; allowed: mode, when, update_to_data"}},
		{"a comment on the line", "steps: 1", []string{"env_kwargs.color=#f00"},
			[]string{`--set env_kwargs.color=#f00: in YAML, # begins a comment; if it is part of a text, quote it: env_kwargs.color="#f00"`}},
		{"a comment after a value", "steps: 1", []string{"env_kwargs.color=red #f00"},
			[]string{`--set env_kwargs.color=red #f00: in YAML, # begins a comment; if it is part of a text, quote it: env_kwargs.color="red #f00"`}},
		{"text that is no YAML", "steps: 1", []string{"env_kwargs.file=*.xml"},
			[]string{`--set env_kwargs.file=*.xml: the value is not valid YAML: line 1: unknown anchor '.xml' referenced; if it is a text, quote it: env_kwargs.file="*.xml"`}},
		{"a key in quotes", "steps: 1", []string{`env_kwargs."a.b"=1`},
			[]string{`--set env_kwargs."a.b"=1: a key is names joined by dots; set others in a mapping, such as env.kwargs={"a.b": 1}`}},
		{"an empty part of a key", "steps: 1", []string{"env_kwargs.=1"},
			[]string{`--set env_kwargs.=1: a key is names joined by dots; set others in a mapping, such as env.kwargs={"a.b": 1}`}},
		{"line without a value", "steps: 1", []string{"steps"},
			[]string{"--set steps: want key=value, such as steps=1000 or env.id=Hopper-v5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decode(t, c.text, c.sets...)
			if err == nil {
				t.Fatal("no error")
			}
			if got, want := err.Error(), strings.Join(c.want, "\n"); got != want {
				t.Errorf("error\n%s, want\n%s", got, want)
			}
		})
	}
}

// Ensure that << merges mappings anywhere, that keys beside it take precedence over it,
// the first mapping over the next, and all over the layer below.
func TestMergeKeys(t *testing.T) {
	text := "env_kwargs: {a: &a {mode: quick, when: 1h}, b: &b {when: 2h, update_to_data: 3}}\ninner: {<<: [*a, *b], update_to_data: 4}"
	o, err := decode(t, text)
	if want := (inner{"quick", time.Hour, 4}); err != nil || o.Inner != want {
		t.Errorf("%+v, %v", o, err)
	}
}

// Ensure that an error can be taken apart by a program.
func TestErrorType(t *testing.T) {
	_, err := decode(t, "inner: {mod: 1}")
	var e *settings.Error
	if !errors.As(err, &e) || e.Key != "inner.mod" {
		t.Errorf("%#v", err)
	}
}

// Ensure that values arrive, keys not given keep their default, and anchors work.
func TestDecode(t *testing.T) {
	v, err := decode(t, `
version: 1
steps: 1e6 # a whole number, though YAML calls it a float
seed: 18446744073709551615
on: true
inner: &i {when: 90s, update_to_data: .5}
shape: {kind: box, sides: [3, 4]}
env_kwargs: {a: 1, b: [x], c: {d: true}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if v.Steps != 1e6 || *v.Seed != math.MaxUint64 || !v.On {
		t.Errorf("%+v", v)
	}
	if v.Inner != (inner{"slow", 90 * time.Second, 0.5}) {
		t.Errorf("%+v", v.Inner)
	}
	if b := v.Shape.Value.(*box); b.Area() != 12 || b.Name != "b" || v.Shape.Name != "box" {
		t.Errorf("%+v", b)
	}
	if want := map[string]any{"a": 1, "b": []any{"x"}, "c": map[string]any{"d": true}}; !reflect.DeepEqual(v.EnvKwargs, want) {
		t.Errorf("%v", v.EnvKwargs)
	}
}

// Ensure that layers change key by key, and that another kind starts afresh.
func TestLayers(t *testing.T) {
	const base = "steps: 5\ninner: {mode: quick, when: 3s}\nshape: {kind: circle, radius: 5}\n"
	v, err := decode(t, base, "steps=6", "inner.when=4s", "shape.radius=6")
	if err != nil {
		t.Fatal(err)
	}
	if v.Steps != 6 || v.Inner.Mode != "quick" || v.Inner.When != 4*time.Second || v.Shape.Value.(circle).Radius != 6 {
		t.Errorf("%+v", v)
	}
	if v, err = decode(t, base, "shape={kind: box, name: z}"); err != nil {
		t.Fatal(err)
	}
	if v, err := decode(t, "shape: {kind: box, sides: [1]}", "shape.sides=[2, 3]"); err != nil || v.Shape.Value.Area() != 6 {
		t.Errorf("%v: a wrong layer that another one mends", err)
	}
	if b, ok := v.Shape.Value.(*box); !ok || b.Name != "z" || b.Sides[1] != 2 {
		t.Errorf("%+v", v.Shape)
	}
}

// Ensure that two decodings do not share memory through a kind's defaults.
func TestKindsAreCopies(t *testing.T) {
	a := fresh()
	a.Shape.Name, a.Shape.Value = "box", &box{Sides: []int{1, 2}}
	before := a.Shape.Value
	tree, err := settings.Parse("f", []byte("shape: {name: changed}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := settings.Decode(a, tree); err != nil {
		t.Fatal(err)
	}
	if before.(*box).Name == "changed" || a.Shape.Value.(*box).Name != "changed" {
		t.Error("the first value was written to")
	}
}

// Ensure that what is written reads back to the same.
func TestEncode(t *testing.T) {
	v, err := decode(t, "seed: 3\ninner: {when: 1m30s, update_to_data: 3e-4}\nshape: {kind: circle, radius: .inf}\nenv_kwargs: {x: 0.1}")
	if err != nil {
		t.Fatal(err)
	}
	out, err := settings.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"seed: 3\n", "  update_to_data: 0.0003\n", "  kind: circle\n  radius: .inf\n", "env_kwargs: {x: 0.1}\n"} {
		if !strings.Contains(string(out), line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	again, err := decode(t, string(out))
	if err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	again.Shape.Of, v.Shape.Of = nil, nil
	if !reflect.DeepEqual(v, again) {
		t.Errorf("%+v, want %+v", again, v)
	}
}

func TestTake(t *testing.T) {
	tree, err := settings.Parse("f", []byte("extends: [a, b]\nsteps: 3\nshape: {kind: circle}"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := tree.Take("extends", &names); err != nil {
		t.Fatal(err)
	}
	v := fresh()
	if err := settings.Decode(v, tree); err != nil || len(names) != 2 || v.Steps != 3 {
		t.Errorf("%v, %v, %d", err, names, v.Steps)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"learning_rate", "batch", "tau", "walker2d/sac"}
	for name, want := range map[string]string{
		"learning_rat": "learning_rate", "Batch": "batch", "btach": "batch", "walker2/sac": "walker2d/sac",
		"rate": "learning_rate", "xyz": "", "": "",
	} {
		if got := settings.Nearest(name, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}

// Ensure that no input crashes the decoder, and that what decodes also encodes and
// decodes again.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"steps: 1", "shape: {kind: box}", "a: &x [*x]", "a: &a [1,*a]", "inner: {when: 1h}", "env_kwargs: {? [a] : 1}", "? {}\n: 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := decode(t, text)
		if err != nil {
			return
		}
		out, err := settings.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(t, string(out)); err != nil {
			t.Fatalf("%v, decoding\n%s", err, out)
		}
	})
}
