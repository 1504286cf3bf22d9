package report_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stein-rl/stein/report"
)

// put replaces a file of a run folder.
func put(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pipe puts a named pipe in the place of a file.
func pipe(name string) func(dir string) {
	return func(dir string) {
		path := filepath.Join(dir, name)
		os.Remove(path)
		syscall.Mkfifo(path, 0o644)
	}
}

// Ensure that a damaged run folder is named with its reason, and that the rest is
// reported: pages, figures and strict JSON.
func TestDamaged(t *testing.T) {
	const head = "step,time,eval/mean_reward\n"
	for name, c := range map[string]struct {
		damage func(dir string)
		want   string // reason; empty: the run counts
	}{
		"no run.json":         {func(d string) { os.Remove(filepath.Join(d, "run.json")) }, "no run.json"},
		"empty run.json":      {func(d string) { put(t, d, "run.json", "") }, "run.json"},
		"cut run.json":        {func(d string) { put(t, d, "run.json", `{"id": "x", "see`) }, "run.json"},
		"other run.json":      {func(d string) { put(t, d, "run.json", `{"seed": -1}`) }, "run.json: seed: want a whole number of at least 0"},
		"null run.json":       {func(d string) { put(t, d, "run.json", "null") }, "run.json: want an object, got null"},
		"marked run.json":     {func(d string) { put(t, d, "run.json", "\xef\xbb\xbf"+read(t, filepath.Join(d, "run.json"))) }, ""},
		"swapped":             {func(d string) { put(t, d, "run.json", read(t, filepath.Join(d, "config.yaml"))) }, "run.json: not JSON at byte 1"},
		"pipe for run.json":   {pipe("run.json"), "run.json: it is a named pipe, want a file"},
		"pipe for config":     {pipe("config.yaml"), "config.yaml: it is a named pipe, want a file"},
		"pipe for metrics":    {pipe("metrics.csv"), "metrics.csv: it is a named pipe, want a file"},
		"no config":           {func(d string) { os.Remove(filepath.Join(d, "config.yaml")) }, "config.yaml"},
		"empty config":        {func(d string) { put(t, d, "config.yaml", "") }, "want key: value"},
		"config of a list":    {func(d string) { put(t, d, "config.yaml", "[1, 2]") }, "want key: value"},
		"no YAML":             {func(d string) { put(t, d, "config.yaml", "a: [") }, "configuration"},
		"no metrics":          {func(d string) { os.Remove(filepath.Join(d, "metrics.csv")) }, "no values of eval/mean_reward"},
		"empty metrics":       {func(d string) { put(t, d, "metrics.csv", "") }, "no values of eval/mean_reward"},
		"metrics cut in line": {func(d string) { put(t, d, "metrics.csv", "step,ti") }, "no values of eval/mean_reward"},
		"head alone":          {func(d string) { put(t, d, "metrics.csv", head) }, "no values of eval/mean_reward"},
		"uneven":              {func(d string) { put(t, d, "metrics.csv", head+"1,1,5\n2,2\n3,3,5\n") }, "row 2: got 2 cells for 3 columns"},
		"no numbers":          {func(d string) { put(t, d, "metrics.csv", head+"1,1,many\n") }, "is not a number"},
		"bytes":               {func(d string) { put(t, d, "metrics.csv", "\x00\xff\n\x01,\n") }, "columns step and time are missing"},
		"steps of NaN":        {func(d string) { put(t, d, "metrics.csv", head+"NaN,1,5\n") }, "whole number"},
		"all NaN":             {func(d string) { put(t, d, "metrics.csv", head+"500,1,NaN\n1000,2,NaN\n") }, "no values of eval/mean_reward"},
		"all infinite":        {func(d string) { put(t, d, "metrics.csv", head+"500,1,+Inf\n1000,2,-Inf\n") }, "no values of eval/mean_reward"},
		"a folder for a file": {func(d string) {
			os.Remove(filepath.Join(d, "metrics.csv"))
			os.Mkdir(filepath.Join(d, "metrics.csv"), 0o755)
		}, "metrics.csv"},
		"times of NaN":       {func(d string) { put(t, d, "metrics.csv", head+"500,NaN,5\n1000,,6\n") }, ""},
		"huge":               {func(d string) { put(t, d, "metrics.csv", head+"500,1,1e308\n1000,2,1e300\n1500,3,-1e300\n") }, ""},
		"steps that go back": {func(d string) { put(t, d, "metrics.csv", head+"500,1,5\n1000,2,6\n700,3,7\n900,4,8\n") }, ""},
		"one point":          {func(d string) { put(t, d, "metrics.csv", head+"0,0,0\n") }, ""},
		"nearly equal":       {func(d string) { put(t, d, "metrics.csv", head+"1,0,10000000000000000\n2,1,10000000000000002\n") }, ""},
		"others' steps":      {func(d string) { put(t, d, "metrics.csv", head+"90000,1,5\n90001,2,5\n") }, "no step of eval/mean_reward in common"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
			synthetic{config: "hopper/sac", points: 10, every: 100, top: 100}.write(t, good)
			config := "pendulum/sac"
			if name == "others' steps" { // beside another seed of its configuration
				synthetic{config: config, points: 3, every: 100, seed: 1}.write(t, filepath.Join(dir, "beside"))
			}
			synthetic{config: config, points: 3, every: 100, top: -100}.write(t, bad)
			c.damage(bad)
			r, err := report.New([]string{dir}, report.Options{Bootstrap: report.Bootstrap{Resamples: 20}})
			if err != nil {
				t.Fatal(err)
			}
			why := ""
			for _, l := range r.Left {
				if l.Dir == bad {
					why = l.Why
				}
			}
			if (c.want == "") != (why == "") || !strings.Contains(why, c.want) {
				t.Errorf("left out because of %q, want %q", why, c.want)
			}
			if c.want != "" {
				return // the same figures as in the next one
			}
			if _, err := r.Write(t.TempDir()); err != nil {
				t.Error(err)
			}
			for _, s := range r.Sections {
				for _, one := range s.Results {
					if _, err := json.Marshal([]report.Interval{one.IQM, one.Mean, one.Median, one.Gap}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// Ensure that names with HTML in them are text on the page and in figures.
func TestNamesAreText(t *testing.T) {
	const evil = `</script><img src=x onerror=alert(1)>`
	dir := filepath.Join(t.TempDir(), "<b>run & co")
	synthetic{config: "hopper/sac", points: 5, every: 100, top: 100}.write(t, dir)
	put(t, dir, "config.yaml", strings.Replace(read(t, filepath.Join(dir, "config.yaml")), "id: Hopper-v5", "id: '"+evil+"'", 1))
	put(t, dir, "run.json", `{"id": "x", "seed": 1, "config": "`+evil+`"}`)
	r, err := report.New([]string{dir}, report.Options{Title: evil, Bootstrap: report.Bootstrap{Resamples: 20}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sections[0].Env != evil {
		t.Fatalf("environment %q", r.Sections[0].Env)
	}
	paths, err := r.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if ext := filepath.Ext(path); (ext == ".html" || ext == ".svg") && strings.Contains(read(t, path), "<img") {
			t.Errorf("%s has the name's markup", filepath.Base(path))
		}
	}
}

// Ensure that links to folders are followed, that one which leads back is no loop, that
// a run is found once, and that a folder which can't be read is named.
func TestFindFollowsLinks(t *testing.T) {
	disk, home := t.TempDir(), t.TempDir()
	synthetic{config: "hopper/sac", points: 3, every: 100, top: 1}.write(t, filepath.Join(disk, "sweep", "a"))
	link := func(from, to string) {
		if err := os.Symlink(from, to); err != nil {
			t.Fatal(err)
		}
	}
	link(disk, filepath.Join(home, "runs"))
	link(home, filepath.Join(disk, "back"))
	link(filepath.Join(disk, "sweep", "a"), filepath.Join(disk, "again"))
	link(filepath.Join(disk, "nowhere"), filepath.Join(disk, "dangling"))
	for _, dir := range []string{filepath.Join(home, "runs"), home} {
		found, _, err := report.Find(dir)
		if err != nil || len(found) != 1 {
			t.Errorf("%s: found %v, %v", dir, found, err)
		}
	}
}
