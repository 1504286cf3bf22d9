package runs

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func record(t *testing.T, r Recorder, step int64, m Metrics) {
	t.Helper()
	if err := r.Record(step, m); err != nil {
		t.Fatal(err)
	}
}

// Ensure that columns may come late, that values keep every bit, and that a resumed
// table continues after the checkpoint's step and nowhere else.
func TestTable(t *testing.T) {
	dir := t.TempDir()
	tab, err := openTable(dir, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	record(t, tab, 10, Metrics{"a": 1.0 / 3})
	record(t, tab, 20, Metrics{"b": math.Inf(1)})
	record(t, tab, 30, Metrics{"a": 3, "b": 4})
	if err := tab.Close(); err != nil {
		t.Fatal(err)
	}
	check := func(name string, wantSteps, wantValues []float64) {
		t.Helper()
		got, err := ReadTable(dir)
		if err != nil {
			t.Fatal(err)
		}
		steps, values := got.Series(name)
		if !reflect.DeepEqual(steps, wantSteps) || !reflect.DeepEqual(values, wantValues) {
			t.Errorf("%s: steps %v, values %v; want %v, %v", name, steps, values, wantSteps, wantValues)
		}
	}
	check("a", []float64{10, 30}, []float64{1.0 / 3, 3})
	check("b", []float64{20, 30}, []float64{math.Inf(1), 4})
	check("c", nil, nil)

	if tab, err = openTable(dir, 20, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	record(t, tab, 25, Metrics{"a": 5, "c": 6})
	if err := tab.Close(); err != nil {
		t.Fatal(err)
	}
	check("a", []float64{10, 25}, []float64{1.0 / 3, 5})
	check("b", []float64{20}, []float64{math.Inf(1)})
	check("c", []float64{25}, []float64{6})
	lines, err := os.ReadFile(filepath.Join(dir, jsonlName))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(lines), "\n"); n != 3 || strings.Contains(string(lines), `"step":30`) {
		t.Errorf("%s:\n%s", jsonlName, lines)
	}
	if !strings.Contains(string(lines), `"b":null`) {
		t.Errorf("an infinite figure is not null in\n%s", lines)
	}
}

// Ensure that a line cut short by a crash is dropped, and that any other damage is
// an error and no wrong figure.
func TestTableDamage(t *testing.T) {
	for _, c := range []struct{ name, csv, want string }{
		{"with a byte order mark", "\xef\xbb\xbfstep,time,a\r\n1,1,5\r\n", ""},
		{"cut short", "step,time,a\n1,1,5\n2,1,5", ""},
		{"in the middle", "step,time,a\n1,1,5\n2,1\n3,1,6\n", "row 2: got 2 cells for 3 columns"},
		{"no number", "step,time,a\n1,1,x\n2,1,3\n", `row 1: "x" is not a number`},
		{"steps that are none", "step,time,a\n1,1,5\nNaN,2,3\n", `row 2: step "NaN": want a whole number`},
		{"a column twice", "step,time,a,a\n1,1,5,5\n", `column "a" appears twice`},
		{"no steps", "time,a\n1,5\n", `columns step and time are missing: the first line is "time,a"`},
		{"semicolons", "step;time;a\n1;1;5\n", `the first line is "step;time;a"`},
		{"a long cell", "step,time,a\n1,1," + strings.Repeat("x", 1e6) + "\n", `row 1: "` + strings.Repeat("x", 40) + `" is not`},
		{"a quote", "step,time,\"a\n1,1,5\n", "not a table"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, csvName), []byte(c.csv), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := ReadTable(dir)
		if c.want == "" && (err != nil || len(got.Rows) != 1) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// Ensure that streams differ, are repeatable, and never negative.
func TestSeedStreams(t *testing.T) {
	seen := map[int64]string{}
	for _, seed := range []Seed{0, 1, 1 << 63} {
		for _, name := range []string{"environments", "agent", "replay"} {
			s := seed.Stream(name)
			if s < 0 || s != seed.Stream(name) || seen[s] != "" {
				t.Errorf("seed %d, %s: %d (also %s)", seed, name, s, seen[s])
			}
			seen[s] = name
		}
	}
	// A change here changes every published run: it has to be meant.
	if got := Seed(0).Stream("agent"); got != 3622577014285607168 {
		t.Errorf("stream agent of seed 0 is %d", got)
	}
}
