package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Live serves a page with the curves of running trainings. It answers only requests from
// this machine and checks the host name, so that no website can read the page by a DNS
// name that points here.
type Live struct {
	Dirs   []string      // run folders or their parents; searched repeatedly
	Metric string        // metric shown first; empty: DefaultReturn
	Every  time.Duration // interval of updates; 0: one second
}

var livePage = template.Must(template.New("live.html").ParseFS(web, "web/live.html"))

// liveFiles maps the paths that the page loads to files.
var liveFiles = map[string]string{
	"/live.js":   "web/live.js",
	"/chart.js":  "web/chart.js",
	"/live.css":  "web/live.css",
	"/page.css":  "web/page.css",
	"/uplot.js":  "web/uplot/uPlot.iife.min.js",
	"/uplot.css": "web/uplot/uPlot.min.css",
}

// Handler serves the page at / and server-sent events at /events?metric=NAME&metric=NAME:
// "runs" when the list of runs changes, "points" when a run has new points, and "problem"
// while the folders cannot be searched.
func (l Live) Handler() http.Handler {
	if l.Metric == "" {
		l.Metric = DefaultReturn
	}
	if l.Every == 0 {
		l.Every = time.Second
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", l.page)
	mux.HandleFunc("GET /events", l.events)
	for path, file := range liveFiles {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, web, file) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r.Host) {
			http.Error(w, "use the host name localhost", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (l Live) page(w http.ResponseWriter, _ *http.Request) {
	var out bytes.Buffer
	if err := livePage.Execute(&out, panelsWith(l.Metric)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; img-src data:; script-src 'self'; style-src 'self' 'unsafe-inline'")
	_, _ = w.Write(out.Bytes())
}

func (l Live) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	feed := feed{Live: l, metrics: r.URL.Query()["metric"], runs: map[string]*followed{}, to: http.NewResponseController(w), out: w}
	_ = feed.follow(r.Context()) // it ends when the page disconnects
}

// A feed is the event stream of one page.
type feed struct {
	Live
	metrics []string // the metrics to send
	runs    map[string]*followed
	told    map[string]string // last event of each kind that is sent as a whole
	to      *http.ResponseController
	out     http.ResponseWriter
}

// A followed is a run and what was sent of it.
type followed struct {
	run  *Run
	size int64
	when time.Time
	sent map[string]sent // by metric
}

// sent describes the points of a curve that a page has: their number, and the last value.
type sent struct {
	count int
	last  float64
}

func (f *feed) follow(ctx context.Context) error {
	tick := time.NewTicker(f.Every)
	defer tick.Stop()
	for {
		if err := f.look(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look reads and sends what has changed. It reports an unreadable folder and retries it
// later: a run may be half written.
func (f *feed) look() error {
	var dirs []string
	left := []Left{}
	problem := ""
	for _, dir := range f.Dirs { // one by one: one that is bad hides no other
		found, unread, err := Find(dir)
		if err != nil {
			problem = err.Error()
		}
		dirs, left = append(dirs, found...), append(left, unread...)
	}
	slices.Sort(dirs)
	if err := f.tell("problem", map[string]string{"text": problem}); err != nil {
		return err
	}
	runs := []*Run{}
	for _, dir := range slices.Compact(dirs) {
		one := f.runs[dir]
		if one == nil {
			one = &followed{sent: map[string]sent{}}
			f.runs[dir] = one
		}
		if err := one.read(dir); err != nil {
			left = append(left, Left{dir, err.Error()})
			continue
		}
		runs = append(runs, one.run)
	}
	if err := f.tellRuns(runs, left); err != nil {
		return err
	}
	for _, r := range runs {
		for _, metric := range f.metrics {
			if err := f.tellPoints(r, metric); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads the run again if its metrics changed.
func (o *followed) read(dir string) error {
	info, err := os.Stat(filepath.Join(dir, "metrics.csv"))
	if err == nil && o.run != nil && info.Size() == o.size && info.ModTime().Equal(o.when) {
		return nil
	}
	run, readErr := ReadRun(dir)
	if readErr != nil {
		return readErr
	}
	o.run = run
	if err == nil {
		o.size, o.when = info.Size(), info.ModTime()
	}
	return nil
}

// liveRun is a run as sent to the page.
type liveRun struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Label  string `json:"label"` // name of the configuration
	Colour string `json:"colour"`
	Seed   string `json:"seed"` // text: JavaScript's numbers lose digits
	Step   int64  `json:"step"`
	Steps  int64  `json:"steps"` // planned steps; 0: unknown
	Counts string `json:"counts"`
}

// tellRuns sends the runs, their metrics, and the skipped folders, if they changed. Runs
// of one configuration have the same colour, that of the report.
func (f *feed) tellRuns(runs []*Run, left []Left) error {
	groups, doubles := group(slices.Clone(runs))
	list, metrics := []liveRun{}, map[string]bool{}
	for _, g := range groups {
		for _, r := range g.Runs {
			counts := "environment steps"
			if _, image := r.Settings["updates"]; image {
				counts = "updates"
			}
			steps, _ := strconv.ParseInt(r.Total(), 10, 64)
			list = append(list, liveRun{r.Dir, filepath.Base(r.Dir), g.Label, hex(colourOf(g.Style)), strconv.FormatUint(uint64(r.Info.Seed), 10), r.Step, steps, counts})
			for name := range r.series {
				metrics[name] = true
			}
		}
	}
	delete(metrics, "step")
	return f.tell("runs", map[string]any{"runs": list, "metrics": slices.Sorted(maps.Keys(metrics)), "left": append(left, doubles...)})
}

// tellPoints sends the new points of a curve. If a run was resumed from an earlier step,
// it sends the whole curve.
func (f *feed) tellPoints(r *Run, metric string) error {
	one, s := f.runs[r.Dir], r.series[metric].rising()
	from, n := one.sent[metric], len(s.values)
	if from.count > n || from.count > 0 && s.values[from.count-1] != from.last {
		from.count = 0
	}
	if from.count == n {
		return nil
	}
	steps, values := s.steps[from.count:], make([]any, 0, n-from.count)
	for _, x := range s.values[from.count:] {
		if math.IsInf(x, 0) {
			values = append(values, nil) // JSON has no NaN
			continue
		}
		values = append(values, x)
	}
	one.sent[metric] = sent{n, s.values[n-1]}
	return f.send("points", map[string]any{"id": r.Dir, "metric": metric, "from": from.count, "steps": steps, "values": values})
}

// rising is the series without points whose step does not increase or is invalid, as in
// damaged files.
func (s series) rising() series {
	kept := series{}
	last := -1.0
	for i, step := range s.steps {
		if step > last && step < 1<<53 {
			kept.steps, kept.values = append(kept.steps, step), append(kept.values, s.values[i])
			last = step
		}
	}
	return kept
}

// tell sends an event if it differs from the last of its kind.
func (f *feed) tell(event string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if f.told[event] == string(text) {
		return nil
	}
	if f.told == nil {
		f.told = map[string]string{}
	}
	f.told[event] = string(text)
	return f.send(event, json.RawMessage(text))
}

func (f *feed) send(event string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := f.to.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if _, err := fmt.Fprintf(f.out, "event: %s\ndata: %s\n\n", event, text); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return f.to.Flush()
}
