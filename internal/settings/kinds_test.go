package settings_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/stein-rl/stein/internal/settings"
)

// scale is a struct whose fields belong to kinds.
type scale struct {
	Kind   string `want:"fixed|learned|network"`
	Value  float64
	Max    float64 `kinds:"learned|network"`
	Hidden []int   `kinds:"network" default:"[64, 64]"`
}

func (*scale) RetiredKeys() []string { return []string{"diagnose"} }

type scales struct{ Sigma scale }

// laid lays texts over each other; the last one may have keys of any kind if anyKind.
func laid(t *testing.T, anyKind bool, texts ...string) (scales, error) {
	t.Helper()
	var layers []*settings.Tree
	for _, text := range texts {
		tree, err := settings.Parse("f.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, tree)
	}
	if anyKind {
		layers[len(layers)-1].AnyKind()
	}
	var s scales
	err := settings.Decode(&s, layers...)
	return s, err
}

// Ensure that a kind takes the keys it has and refuses those of others, by name.
func TestKeysOfAnotherKind(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"sigma: {kind: network, value: 1, max: 2, hidden: [8, 4]}", ""},
		{"sigma: {kind: learned, diagnose: true}", ""}, // retired
		{"sigma: {hidden: [8], kind: learned}", "f.yaml:1: sigma.hidden: kind learned has no hidden (network has); it takes value, max"},
		{"sigma: {kind: fixed, max: 3}", "sigma.max: kind fixed has no max (learned, network have); it takes value"},
		{"sigma: {kind: fixed, vlaue: 3}", "sigma.vlaue: unknown key; did you mean value?; allowed: kind, value"},
		{"sigma: {kind: networks}", "did you mean network?"},
	} {
		_, err := laid(t, false, c.text)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.text, err, c.want)
		}
	}
	// The kind may come from the layer below.
	_, err := laid(t, false, "sigma: {kind: fixed}", "sigma: {max: 3}")
	var at *settings.Error
	if !errors.As(err, &at) || at.Key != "sigma.max" {
		t.Errorf("error %v", err)
	}
}

// Ensure that a change of kind keeps what both kinds have, drops what the new one lacks
// and starts the rest from its defaults; and that what is written reads back equal.
func TestChangeOfKind(t *testing.T) {
	for _, c := range []struct {
		layers []string
		want   scale
	}{
		{[]string{"sigma: {kind: network}"}, scale{"network", 0, 0, []int{64, 64}}},
		{[]string{"sigma: {kind: learned, value: 2, max: 5}", "sigma: {kind: network}"}, scale{"network", 2, 5, []int{64, 64}}},
		{[]string{"sigma: {kind: network, value: 2, max: 5, hidden: [3]}", "sigma: {kind: fixed}"}, scale{"fixed", 2, 0, nil}},
		{[]string{"sigma: {kind: network, hidden: [3]}", "sigma: {kind: fixed}", "sigma: {kind: network}"}, scale{"network", 0, 0, []int{64, 64}}},
		{[]string{"sigma: {kind: network, hidden: [3]}", "sigma: {kind: network, value: 4}"}, scale{"network", 4, 0, []int{3}}},
	} {
		got, err := laid(t, false, c.layers...)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Sigma, c.want) {
			t.Errorf("%q: %+v, want %+v", c.layers, got.Sigma, c.want)
		}
		text, err := settings.Encode(got)
		if err != nil {
			t.Fatal(err)
		}
		if c.want.Kind == "fixed" && strings.Contains(string(text), "hidden") {
			t.Errorf("keys of another kind are written:\n%s", text)
		}
		if again, err := laid(t, false, string(text)); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("read back %+v, want %+v; error %v", again, got, err)
		}
	}
}

// Ensure that a file with the keys of every kind can be read, and that keys of no kind are
// still errors in it.
func TestAnyKind(t *testing.T) {
	got, err := laid(t, true, "sigma: {kind: fixed, value: 3, max: 5, hidden: [64, 64]}")
	if want := (scale{"fixed", 3, 0, nil}); err != nil || !reflect.DeepEqual(got.Sigma, want) {
		t.Errorf("%+v, want %+v; error %v", got.Sigma, want, err)
	}
	if _, err := laid(t, true, "sigma: {kind: fixed, vlaue: 3}"); err == nil {
		t.Error("an unknown key was read")
	}
}
