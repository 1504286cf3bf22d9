package report

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/stein-rl/stein/internal/regular"
	"github.com/stein-rl/stein/runs"
)

// A Run is the content of a run folder.
type Run struct {
	Dir      string
	Info     runs.Info
	Config   string // config.yaml, verbatim
	Settings Settings
	Step     int64 // step of the last row
	Seconds  float64
	series   map[string]series
}

// A series is the recorded values of one metric.
type series struct{ steps, values []float64 }

// A Group is a configuration and its runs, which differ in the seed.
type Group struct {
	Label string
	Name  string // name of the configuration, without a suffix
	Env   string
	Style int // index of its colour and mark, the same in all figures
	Runs  []*Run
}

// A Left is a skipped folder with the reason.
type Left struct {
	Dir string `json:"dir"`
	Why string `json:"why"`
}

// ReadRun reads a run folder. It ignores figures that are not finite.
func ReadRun(dir string) (*Run, error) {
	info, err := runs.ReadInfo(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{Dir: dir, Info: info, series: map[string]series{}}
	if r.Config, r.Settings, err = ReadSettings(dir); err != nil {
		return nil, err
	}
	table, err := runs.ReadTable(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil // nothing recorded yet
	}
	if err != nil {
		return nil, err
	}
	for _, name := range table.Columns {
		if s := clean(table.Series(name)); len(s.steps) > 0 {
			r.series[name] = s
		}
	}
	if n := len(table.Rows); n > 0 {
		r.Step = table.Step(n - 1)
	}
	r.Seconds, _ = r.Last("time")
	return r, nil
}

// ReadSettings reads the configuration of a run folder, verbatim and flattened.
func ReadSettings(dir string) (text string, s Settings, err error) {
	data, err := regular.ReadFile(filepath.Join(dir, "config.yaml"))
	if err != nil {
		return "", nil, fmt.Errorf("report: %w", err)
	}
	if s, err = ParseSettings(data); err != nil {
		return "", nil, fmt.Errorf("%s: %w", dir, err)
	}
	return string(data), s, nil
}

// largest is the magnitude beyond which sums of figures could overflow.
const largest = 1e300

// clean removes invalid figures. If steps go back, as after a resumption, later rows
// replace earlier ones.
func clean(steps, values []float64) series {
	var s series
	for i, x := range values {
		if math.IsNaN(x) || math.Abs(x) > largest {
			continue
		}
		for n := len(s.steps); n > 0 && s.steps[n-1] >= steps[i]; n-- {
			s.steps, s.values = s.steps[:n-1], s.values[:n-1]
		}
		s.steps, s.values = append(s.steps, steps[i]), append(s.values, x)
	}
	return s
}

// read reads all folders concurrently. It skips those that are unreadable or lack the
// metric.
func read(dirs []string, metric string) (runs []*Run, left []Left) {
	got := make([]*Run, len(dirs))
	why := make([]error, len(dirs))
	var all sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, dir := range dirs {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			got[i], why[i] = ReadRun(dir)
		})
	}
	all.Wait()
	for i, r := range got {
		switch {
		case why[i] != nil:
			left = append(left, Left{dirs[i], why[i].Error()})
		case len(r.series[cmp.Or(metric, r.ReturnOf())].steps) == 0:
			left = append(left, Left{r.Dir, fmt.Sprintf("it has no values of %s", cmp.Or(metric, r.ReturnOf()))})
		default:
			runs = append(runs, r)
		}
	}
	return runs, left
}

// group groups runs by configuration. It skips a run whose seed the group already has,
// since copies would count as independent runs.
func group(runs []*Run) (groups []*Group, left []Left) {
	byID := map[string]*Group{}
	for _, r := range runs {
		settings := r.Settings.configuration()
		name := strings.TrimSuffix(strings.TrimSuffix(r.Info.Config, ".yaml"), ".yml")
		if name != r.Info.Config { // a file: ignore its folder
			name = filepath.Base(name)
		}
		if whole := "ebm/" + name; r.ofImages() && IsPublished(whole) { // ebm/ may be omitted
			name = whole
		}
		id := name + "\n" + settings.id()
		g := byID[id]
		if g == nil {
			g = &Group{Label: name, Name: name, Env: cmp.Or(settings["env.id"], settings["data.name"])}
			byID[id] = g
			groups = append(groups, g)
		}
		if i := slices.IndexFunc(g.Runs, func(o *Run) bool { return o.Info.Seed == r.Info.Seed }); i >= 0 {
			other := g.Runs[i]
			if r.Step > other.Step {
				g.Runs[i], r, other = r, other, r
			}
			left = append(left, Left{r.Dir, fmt.Sprintf("%s has the same configuration and seed %d", other.Dir, r.Info.Seed)})
			continue
		}
		g.Runs = append(g.Runs, r)
	}
	for _, g := range groups {
		slices.SortFunc(g.Runs, func(a, b *Run) int { return compare(a.Info.Seed, b.Info.Seed) })
	}
	tellApart(groups)
	slices.SortStableFunc(groups, func(a, b *Group) int {
		return compare(rank(a.Name), rank(b.Name))
	})
	style(groups)
	return groups, left
}

// style assigns the published configurations their fixed styles, and the others those
// that follow.
func style(groups []*Group) {
	free := 0
	if slices.ContainsFunc(groups, func(g *Group) bool { return IsPublished(g.Name) }) {
		free = familySize
	}
	taken := map[int]bool{}
	for _, g := range groups {
		g.Style = rank(g.Name) % familySize
		if !IsPublished(g.Name) || taken[g.Style] {
			g.Style = free
			free++
		}
		taken[g.Style] = true
	}
}

// tellApart adds the differing settings to the labels of groups with the same name.
func tellApart(groups []*Group) {
	byName := map[string][]*Group{}
	for _, g := range groups {
		byName[g.Name] = append(byName[g.Name], g)
	}
	for _, same := range byName {
		if len(same) == 1 {
			continue
		}
		differ := map[string]bool{}
		for _, g := range same[1:] {
			for _, d := range Diff(same[0].Runs[0].Settings.configuration(), g.Runs[0].Settings.configuration()) {
				differ[d.Key] = true
			}
		}
		for _, g := range same {
			g.Label += " " + g.differing(differ)
		}
	}
}

func (g *Group) differing(keys map[string]bool) string {
	var parts []string
	settings := g.Runs[0].Settings
	for key := range keys {
		value, ok := settings[key]
		if !ok {
			value = "–"
		}
		short := key[strings.LastIndexByte(key, '.')+1:]
		parts = append(parts, short+"="+value)
	}
	slices.Sort(parts)
	if len(parts) > 3 {
		parts = append(parts[:3], "…")
	}
	return strings.Join(parts, " ")
}

// ofImages reports whether the run trains an image model.
func (r *Run) ofImages() bool { return r.Settings["updates"] != "" }

// Total is the planned number of steps or updates of the run.
func (r *Run) Total() string { return cmp.Or(r.Settings["steps"], r.Settings["updates"]) }

// ReturnOf is the default metric of a run: the return of evaluations, or for an image
// model its distance from the data set, FID if it was measured.
func (r *Run) ReturnOf() string {
	switch {
	case !r.ofImages():
		return DefaultReturn
	case len(r.series["eval/fid"].steps) > 0:
		return "eval/fid"
	case len(r.series["eval/fd_e2"].steps) > 0:
		return "eval/fd_e2"
	}
	return "eval/fd_e0"
}

func compare[T int | runs.Seed](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Last is the latest value of a metric, if there is one.
func (r *Run) Last(metric string) (value float64, ok bool) {
	s := r.series[metric]
	if len(s.values) == 0 {
		return 0, false
	}
	return s.values[len(s.values)-1], true
}
