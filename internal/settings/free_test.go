package settings_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/stein-rl/stein/internal/settings"
)

// Ensure that arguments of which no type is known keep the one that they were written
// with, through the run folder's file too.
func TestFreeValues(t *testing.T) {
	for text, want := range map[string]any{
		"1": 1, "-7": -7, "1_000": 1000, "0x10": 16, "1.0": 1.0, "1e6": 1e6, "1E-3": 1e-3, ".5": 0.5, "-0.0": 0.0,
		"18446744073709551615": uint64(1<<64 - 1), "123456789012345678901": json.Number("123456789012345678901"), "1e300": 1e300,
		"2024-01-01": "2024-01-01", "2024-01-01T10:00:00Z": "2024-01-01T10:00:00Z", "12:30": "12:30", `"007"`: "007", `"1e-3"`: "1e-3",
		"yes": "yes", "true": true, "null": nil, "~": nil, `""`: "", "größe.csv": "größe.csv", `"null"`: "null", "0.1.2": "0.1.2",
		"[1, 1.0, x, [2024-01-01]]": []any{1, 1.0, "x", []any{"2024-01-01"}}, "[]": []any{},
		"{goal: 1.0, fall: -2, y: 3}": map[string]any{"goal": 1.0, "fall": -2, "y": 3},
	} {
		o, err := decode(t, "env_kwargs: {x: "+text+"}")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := o.EnvKwargs["x"]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %T %v, want %T %v", text, got, got, want, want)
		}
		sameAgain(t, o)
	}
}

// sameAgain checks that what is written is read back to the same values.
func sameAgain(t *testing.T, o *outer) {
	t.Helper()
	written, err := settings.Encode(struct{ EnvKwargs map[string]any }{o.EnvKwargs})
	if err != nil {
		t.Fatal(err)
	}
	again, err := decode(t, string(written))
	if err != nil || !reflect.DeepEqual(again.EnvKwargs, o.EnvKwargs) {
		t.Errorf("written as %sread as %#v, %v; want %#v", written, again, err, o.EnvKwargs)
	}
}

// Ensure that what JSON can't say is refused with the key.
func TestFreeValuesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"{rooms: {1: 2}}":        `env_kwargs.rooms: key "1": this is passed as JSON`,
		"{a: [{true: 2}]}":       `env_kwargs.a[0]: key "true": this is passed as JSON`,
		"{? [1, 2] : 3}":         "env_kwargs: key a list: this is passed as JSON",
		"{limit: .inf}":          `env_kwargs.limit: ".inf": this is passed as JSON`,
		"{x: .nan}":              `env_kwargs.x: ".nan": this is passed as JSON`,
		"{x: [1, {y: -.Inf}]}":   `env_kwargs.x[1].y: "-.Inf": this is passed as JSON`,
		"{x: !!int hello}":       "env_kwargs.x",
		"{<<: [3]}":              "env_kwargs.<<: want key: value lines",
		"[1]":                    "env_kwargs: want key: value lines, got a list",
		"{x: !!float 1.2.3}":     "env_kwargs.x",
		"{x: !!bool maybe}":      "env_kwargs.x",
		"{a: {1: 2}, b: {3: 4}}": `env_kwargs.b: key "3"`,
	} {
		_, err := decode(t, "env_kwargs: "+text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "interface") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// Ensure that arguments are laid over those of the layer below key by key, that one
// can be set by a dotted name, and that null removes them all.
func TestFreeValuesMerge(t *testing.T) {
	base := "base: &b {depth: 1, width: 2}\nenv_kwargs: {level: 3, reward: {goal: 1.0, fall: -2}, <<: *b}\n"
	tree, err := settings.Parse("f.yaml", []byte(base))
	if err != nil {
		t.Fatal(err)
	}
	var ignored map[string]any
	if err := tree.Take("base", &ignored); err != nil {
		t.Fatal(err)
	}
	below := map[string]any{"level": 3, "reward": map[string]any{"goal": 1.0, "fall": -2}, "depth": 1, "width": 2}
	for set, change := range map[string]func(map[string]any){
		"env_kwargs={}":                  func(map[string]any) {},
		"env_kwargs.level=4":             func(m map[string]any) { m["level"] = 4 },
		"env_kwargs.level=null":          func(m map[string]any) { m["level"] = nil },
		"env_kwargs={lr: 1e-3}":          func(m map[string]any) { m["lr"] = 1e-3 },
		"env_kwargs.reward.goal=2.0":     func(m map[string]any) { m["reward"] = map[string]any{"goal": 2.0, "fall": -2} },
		"env_kwargs.reward=7":            func(m map[string]any) { m["reward"] = 7 },
		"env_kwargs.reward.new.deep=[1]": func(m map[string]any) { m["reward"].(map[string]any)["new"] = map[string]any{"deep": []any{1}} },
		"env_kwargs=null":                func(m map[string]any) { clear(m) },
	} {
		over, err := settings.Set(set)
		if err != nil {
			t.Fatal(err)
		}
		o := fresh()
		if err := settings.Decode(o, tree, over); err != nil {
			t.Errorf("%s: %v", set, err)
			continue
		}
		want := map[string]any{}
		for k, v := range below {
			want[k] = v
		}
		want["reward"] = map[string]any{"goal": 1.0, "fall": -2}
		change(want)
		if len(o.EnvKwargs) != len(want) || len(want) > 0 && !reflect.DeepEqual(o.EnvKwargs, want) {
			t.Errorf("%s: %v, want %v", set, o.EnvKwargs, want)
		}
	}
	o := fresh()
	if err := settings.Decode(o, tree); err != nil || !reflect.DeepEqual(o.EnvKwargs, below) {
		t.Errorf("the layer below was changed: %v, %v", o.EnvKwargs, err)
	}
}

// Ensure that whole numbers without a sign are read up to the last one.
func TestLargestSeed(t *testing.T) {
	for text, want := range map[string]uint64{"18446744073709551615": 1<<64 - 1, "1e3": 1000, "4_294_967_296": 1 << 32, "0": 0} {
		if o, err := decode(t, "seed: "+text); err != nil || *o.Seed != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"-1", "18446744073709551616", "1.5", `"7"`, "1e30", "x", "[1]"} {
		_, err := decode(t, "seed: "+text)
		var wrong *settings.Error
		if !errors.As(err, &wrong) || wrong.Key != "seed" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzFreeValues(f *testing.F) {
	for _, text := range []string{"1e6", "{a: [1, 2.0, x], <<: {b: 2024-01-01}}", "0x_f", "!!binary aGk=", "1__0", "-0", "+1", "0o7", "? a", ".5e+3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := decode(t, "env_kwargs: {x: "+text+"}")
		if err != nil || o.EnvKwargs == nil {
			return
		}
		if _, err := json.Marshal(o.EnvKwargs); err != nil {
			t.Fatalf("%q was taken, and JSON can't say it: %v", text, err)
		}
		sameAgain(t, o)
	})
}
