package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/report"
)

// Ensure that the report of the whole matrix, 70 runs of 1,000 points, is there in
// under ten seconds, with everything in it.
func TestSeventyRuns(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	matrix(t, dir, 5, 1000)
	started, before := time.Now(), processorTime(t)
	r, err := report.New([]string{dir}, report.Options{Title: "Seventy runs"})
	if err != nil {
		t.Fatal(err)
	}
	paths, err := r.Write(out)
	if err != nil {
		t.Fatal(err)
	}
	took := processorTime(t) - before // by the clock it depends on what else runs
	t.Logf("70 runs of 1,000 points: %.1f s by the clock, %.1f s of processor time", time.Since(started).Seconds(), took.Seconds())
	limit := 10 * time.Second
	if raceEnabled {
		limit *= 6 // the race detector's own cost
	}
	if took > limit {
		t.Errorf("took %v of processor time, want less than %v", took, limit)
	}
	if r.Runs != 70 || len(r.Left) != 0 || len(r.Sections) != 1 || len(r.Sections[0].Results) != 14 {
		t.Fatalf("%d runs, %v left out, %d sections", r.Runs, r.Left, len(r.Sections))
	}
	for _, one := range r.Sections[0].Results {
		top := published[strings.TrimPrefix(one.Label, "walker2d/")]
		if math.Abs(one.IQM.Value-top) > 0.15*top || one.End != 1e6 || !(one.IQM.Low <= one.IQM.Value && one.IQM.Value <= one.IQM.High) {
			t.Errorf("%s: %+v at step %g, made to come to %g", one.Label, one.IQM, one.End, top)
		}
		if one.Published == nil || len(one.Published.Steps) < 100 {
			t.Errorf("%s has no published curve", one.Label)
		}
	}
	checkFiles(t, paths)
	if page := read(t, paths[0]); strings.Count(page, "<svg") != 4 || regexp.MustCompile(`(src|href)="(https?:)?//`).MatchString(page) {
		t.Errorf("%d figures in the page, want 4 and nothing from elsewhere", strings.Count(page, "<svg"))
	}
	end := table(t, filepath.Join(out, "end.csv"))
	if len(end) != 15 {
		t.Errorf("%d rows of end.csv", len(end))
	}
	if curves := table(t, filepath.Join(out, "curves.csv")); len(curves) != 1+14*2*240 {
		t.Errorf("%d rows of curves.csv", len(curves))
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// checkFiles decodes every figure.
func checkFiles(t *testing.T, paths []string) {
	t.Helper()
	kinds := map[string]int{}
	for _, path := range paths {
		data := []byte(read(t, path))
		kinds[filepath.Ext(path)]++
		switch filepath.Ext(path) {
		case ".png":
			img, err := png.Decode(bytes.NewReader(data))
			if err != nil || img.Bounds().Dx() < 1000 {
				t.Errorf("%s: %v", path, err)
			}
		case ".svg":
			d := xml.NewDecoder(bytes.NewReader(data))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Errorf("%s: %v", path, err)
					break
				}
			}
		}
	}
	if kinds[".svg"] == 0 || kinds[".svg"] != kinds[".png"] || kinds[".csv"] != 7 || kinds[".md"] != 1 {
		t.Errorf("files %v", kinds)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func table(t *testing.T, path string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(read(t, path))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// Ensure that runs are grouped by what they learn with, not by their names or what
// only says how; that a doubled seed counts once; and that what can't be compared is
// named.
func TestGroups(t *testing.T) {
	dir := t.TempDir()
	base := synthetic{config: "hopper/sac", points: 20, every: 500, top: 1000}
	for i, change := range []func(*synthetic){
		func(*synthetic) {},
		func(s *synthetic) { s.seed, s.sets = 1, []string{"engine.threads=1", "eval.episodes=3"} },
		func(s *synthetic) { s.seed = 1 }, // again
		func(s *synthetic) { s.sets = []string{"agent.gamma=0.9"} },
		func(s *synthetic) { s.seed, s.sets = 1, []string{"agent.gamma=0.9"} },
	} {
		s := base
		change(&s)
		s.write(t, filepath.Join(dir, fmt.Sprintf("run-%d", i)))
	}
	base.write(t, filepath.Join(dir, "deeper", "broken"))
	if err := os.WriteFile(filepath.Join(dir, "deeper", "broken", "metrics.csv"), []byte("step,time\n1,x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := report.New([]string{dir}, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range r.Sections[0].Results {
		got = append(got, fmt.Sprintf("%s: %d", one.Label, len(one.Runs)))
	}
	if want := "[hopper/sac gamma=0.99: 2 hopper/sac gamma=0.9: 2]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if len(r.Left) != 2 || r.Runs != 4 || !strings.Contains(fmt.Sprint(r.Left), "broken") || !strings.Contains(fmt.Sprint(r.Left), "seed 1") {
		t.Errorf("left out %v, %d runs", r.Left, r.Runs)
	}
}

// Ensure that a run that was planned to be longer is one of its configuration's, unless
// the length changes what is learned on the way.
func TestGroupsOfOtherLengths(t *testing.T) {
	for _, c := range []struct {
		config, set string
		want        int
	}{
		{"hopper/sac", "agent.lr_schedule=constant", 1},
		{"hopper/sac", "agent.lr_schedule=linear", 2},
		{"hopper/sac", "replay.kind=prioritized", 2},
		{"walker2d/met-mh-m10", "steps=1", 1},
		{"walker2d/met-mh-greedy-m10", "steps=1", 2},
	} {
		dir := t.TempDir()
		synthetic{config: c.config, seed: 1, points: 20, every: 500, sets: []string{c.set}}.write(t, filepath.Join(dir, "a"))
		synthetic{config: c.config, seed: 2, points: 30, every: 500, sets: []string{c.set}}.write(t, filepath.Join(dir, "b"))
		r, err := report.New([]string{dir}, report.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(r.Sections[0].Results); got != c.want {
			t.Errorf("%s, %s: %d configurations, want %d", c.config, c.set, got, c.want)
		}
	}
}

// Ensure that the end is the last step that all runs have reached, and that a run
// with other steps is interpolated.
func TestEnd(t *testing.T) {
	dir := t.TempDir()
	for i, rows := range []string{"10,1,0\n20,2,10\n30,3,20\n", "15,1,100\n25,2,200\n"} {
		run := filepath.Join(dir, strconv.Itoa(i))
		synthetic{config: "hopper/sac", seed: uint64(i), points: 3, every: 10}.write(t, run)
		if err := os.WriteFile(filepath.Join(run, "metrics.csv"), []byte("step,time,eval/mean_reward\n"+rows), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := report.New([]string{dir}, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	one := r.Sections[0].Results[0]
	if one.End != 25 || fmt.Sprint(one.Scores) != "[[15 200]]" || fmt.Sprint(one.Curves[0].Steps, one.Curves[0].Means) != "[15 20 25] [52.5 80 107.5]" {
		t.Errorf("end %g, scores %v, curve %+v", one.End, one.Scores, one.Curves[0])
	}
}

// Ensure that methods of several environments are compared over all of them, each
// environment's scores from 0 to 1.
func TestOverall(t *testing.T) {
	dir := t.TempDir()
	for i, config := range []string{"walker2d/sac", "walker2d/p-svgd", "multigoal/sac", "multigoal/p-svgd"} {
		for seed := range 3 {
			synthetic{config: config, seed: uint64(seed), points: 10, every: 100, top: 100 + 1000*float64(i)}.
				write(t, filepath.Join(dir, fmt.Sprintf("%d-%d", i, seed)))
		}
	}
	r, err := report.New([]string{dir}, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	last := r.Sections[len(r.Sections)-1]
	if len(r.Sections) != 3 || !last.Overall || len(last.Results) != 2 || len(last.Results[0].Scores) != 2 {
		t.Fatalf("%d sections, the last %+v", len(r.Sections), last)
	}
	sac, svgd := last.Results[0], last.Results[1]
	if sac.Label != "sac" || !(sac.IQM.Value < 0.2 && svgd.IQM.Value > 0.8) || last.Better[1][0].Value != 1 {
		t.Errorf("%s %+v, %s %+v, better with %+v", sac.Label, sac.IQM, svgd.Label, svgd.IQM, last.Better[1][0])
	}
	if _, err := r.Write(t.TempDir()); err != nil {
		t.Error(err)
	}
}

// Ensure that every published configuration has its curve, and the fourteen of
// Walker2d their figure at the end.
func TestPublished(t *testing.T) {
	for name := range published {
		p := report.PublishedOf("walker2d/"+name, report.DefaultReturn)
		if p == nil || !(p.Final > 1000) || len(p.Steps) != len(p.Values) {
			t.Fatalf("walker2d/%s: %+v", name, p)
		}
	}
	for _, metric := range []string{"eval/fid", "sampler/score_norm", "sampler/rejection"} {
		if p := report.PublishedOf("ebm/met-mh", metric); p == nil || len(p.Steps) < 50 {
			t.Errorf("ebm/met-mh %s: %+v", metric, p)
		}
	}
	all := experiments.AllNames() // each of these must be a configuration that there is
	for _, name := range report.PublishedNames() {
		if !slices.Contains(all, name) {
			t.Errorf("%s is published, and no configuration", name)
		}
	}
	if p := report.PublishedOf("walker2d/sac", "train/entropy"); p != nil || report.IsPublished("walker2d/quick") {
		t.Errorf("published by mistake: %+v", p)
	}
	sac := report.PublishedOf("walker2d/sac", report.DefaultReturn)
	if sac.Final != 4384.4 || sac.Low != 4129 || sac.High != 4592 || sac.Steps[0] != 5000 || sac.Values[0] != 277.3 {
		t.Errorf("walker2d/sac: %+v", sac)
	}
}

// Ensure that what is published of Walker2d is not held against runs of another
// environment with the same configuration.
func TestPublishedElsewhere(t *testing.T) {
	for env, want := range map[string]bool{"Walker2d-v5": true, "Walker2d-v4": true, "Hopper-v5": false} {
		run := filepath.Join(t.TempDir(), "run")
		synthetic{config: "walker2d/sac", sets: []string{"env.id=" + env}, points: 3, every: 5000}.write(t, run)
		r, err := report.New([]string{run}, report.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Sections[0].Results[0].Published != nil; got != want {
			t.Errorf("%s: a published figure: %v, want %v", env, got, want)
		}
	}
}

// Ensure that the controls of image models stand beside them: those of the data once,
// the start of the samples for each configuration; and that runs without them have none.
func TestControls(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(2) {
		for config, start := range map[string]float64{"met-lc": 250, "langevin": 340} {
			run := filepath.Join(dir, fmt.Sprintf("%s-%d", config, seed))
			writeImages(t, run, "ebm/"+config, seed, "eval/fd_e0", start/2)
			table := strings.Replace(read(t, filepath.Join(run, "metrics.csv")), "sampler/score_norm\n", "sampler/score_norm,"+
				"control/noise_fd_e0,control/noise_kid,control/start_alone_fd_e0,control/start_alone_kid,control/held-out_pictures_fd_e0,control/held-out_pictures_kid\n", 1)
			put(t, run, "metrics.csv", withControls(table, start+float64(seed)))
		}
		writeImages(t, filepath.Join(dir, fmt.Sprintf("bare-%d", seed)), "ebm/met-sigma", seed, "eval/fd_e0", 9, "data.name=cifar10")
	}
	r, err := report.New([]string{dir}, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if _, err := r.Write(out); err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Sections {
		if s.Env == "cifar10" {
			if len(s.Controls) > 0 {
				t.Errorf("controls that nobody measured: %+v", s.Controls)
			}
			continue
		}
		got := map[string]float64{}
		for _, c := range s.Controls {
			name := c.Name
			if c.Of != nil {
				name += " of " + c.Of.Label
			}
			got[name] = c.Score.Value
			if c.KID.Value != c.Score.Value/1000 {
				t.Errorf("%s: KID %g", name, c.KID.Value)
			}
		}
		want := map[string]float64{"noise": 345, "start alone of ebm/met-lc": 250.5, "start alone of ebm/langevin": 340.5, "held-out images": 25}
		if !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	if table := read(t, filepath.Join(out, "controls.csv")); strings.Count(table, "\n") != 5 || !strings.Contains(table, "fashion-mnist,start alone,ebm/met-lc,2,eval/fd_e0,250.5") {
		t.Errorf("%s", table)
	}
	page, figure := read(t, filepath.Join(out, "index.html")), read(t, filepath.Join(out, "fashion-mnist-end.svg"))
	if strings.Count(page, "<h3>Controls</h3>") != 1 || !strings.Contains(page, "held-out images") {
		t.Error("the page has not one table of controls")
	}
	for _, name := range []string{"noise", "start alone", "held-out images"} {
		if !strings.Contains(figure, ">"+name+"<") {
			t.Errorf("the figure of the ends has no %s", name)
		}
	}
}

// withControls puts controls into the last row of a table.
func withControls(table string, start float64) string {
	rows := strings.Split(strings.TrimSpace(table), "\n")
	for i := 1; i < len(rows)-1; i++ {
		rows[i] += ",,,,,,"
	}
	rows[len(rows)-1] += fmt.Sprintf(",345,0.345,%g,%g,25,0.025", start, start/1000)
	return strings.Join(rows, "\n") + "\n"
}

// Ensure that image models are compared by their distance, the lower the better, beside
// agents; that the published figures are drawn where the pictures are CIFAR-10; and that
// a run of the name without ebm/ is of the same configuration.
func TestImageModels(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(2) {
		synthetic{config: "walker2d/met-lc-m10", seed: seed, points: 5, every: 100, top: 900}.write(t, filepath.Join(dir, fmt.Sprintf("agent-%d", seed)))
		writeImages(t, filepath.Join(dir, fmt.Sprintf("good-%d", seed)), "ebm/met-lc", seed, "eval/fid", 30, "data.name=cifar10")
		writeImages(t, filepath.Join(dir, fmt.Sprintf("poor-%d", seed)), "ebm/langevin", seed, "eval/fid", 90, "data.name=cifar10")
		writeImages(t, filepath.Join(dir, fmt.Sprintf("other-%d", seed)), "ebm/langevin", seed, "eval/fd_e0", 200)
	}
	info := filepath.Join(dir, "poor-1", "run.json")
	if err := os.WriteFile(info, []byte(strings.Replace(read(t, info), "ebm/langevin", "langevin", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := report.New([]string{dir}, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	byEnv := map[string]*report.Section{}
	for _, s := range r.Sections {
		byEnv[s.Env] = s
	}
	cifar, fashion := byEnv["cifar10"], byEnv["fashion-mnist"]
	if len(r.Left) != 0 || len(r.Sections) != 3 || cifar == nil || fashion == nil {
		t.Fatalf("sections %v, left out %v", byEnv, r.Left)
	}
	if cifar.Metric != "eval/fid" || fashion.Metric != "eval/fd_e0" || len(cifar.Results) != 2 {
		t.Fatalf("%+v, %+v", cifar, fashion)
	}
	place := map[string]int{}
	for i, one := range cifar.Results {
		place[one.Label] = i
		if one.Published == nil || len(one.Runs) != 2 {
			t.Errorf("%s: %d runs, published %v", one.Label, len(one.Runs), one.Published)
		}
	}
	good, poor := place["ebm/met-lc"], place["ebm/langevin"]
	if p := cifar.Better[good][poor].Value; p != 1 {
		t.Errorf("the lower distance is better with probability %g", p)
	}
	if gap := cifar.Results[good].Gap.Value; gap != 0 || !(cifar.Results[poor].Gap.Value > 60) || cifar.Results[good].Profile[50].Value != 1 {
		t.Errorf("gaps %g and %g above the best, profile %v", gap, cifar.Results[poor].Gap.Value, cifar.Results[good].Profile[50])
	}
	if fashion.Results[0].Published != nil {
		t.Error("what is published of CIFAR-10 is held against Fashion-MNIST")
	}
	out := t.TempDir()
	if _, err := r.Write(out); err != nil {
		t.Fatal(err)
	}
	if got := table(t, filepath.Join(out, "published.csv")); len(got) < 100 || !strings.HasPrefix(got[1][0], "ebm/") && !strings.HasPrefix(got[1][0], "walker2d/") {
		t.Errorf("%d rows of what is published", len(got))
	}
	svg := read(t, filepath.Join(out, "cifar10-along-eval-fid.svg"))
	for _, text := range []string{"updates", "published, same colour", "FID"} {
		if !strings.Contains(svg, text) {
			t.Errorf("the figure says nothing of %q", text)
		}
	}
}

// Ensure that what is no run is told by name.
func TestNoRuns(t *testing.T) {
	empty := t.TempDir()
	for dir, want := range map[string]string{filepath.Join(empty, "x"): "cannot read run folder", empty: "no run.json"} {
		if _, err := report.New([]string{dir}, report.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
	}
	run := filepath.Join(empty, "run")
	synthetic{config: "hopper/sac", points: 2, every: 10}.write(t, run)
	if _, err := report.New([]string{run}, report.Options{Return: "eval/none"}); err == nil || !strings.Contains(err.Error(), "no values of eval/none") {
		t.Errorf("%v", err)
	}
}

func BenchmarkSeventyRuns(b *testing.B) {
	dir, out := b.TempDir(), b.TempDir()
	matrix(b, dir, 5, 1000)
	for b.Loop() {
		r, err := report.New([]string{dir}, report.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Write(out); err != nil {
			b.Fatal(err)
		}
	}
}
