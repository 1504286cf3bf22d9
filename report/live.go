package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Live is a page on which the curves of runs grow while they train. It answers this
// machine alone: a request under another name is refused, so that no page of the web
// can read it through a name that it makes point here.
type Live struct {
	Dirs   []string      // of runs, or above them; looked at again and again
	Metric string        // shown first; empty: DefaultReturn
	Every  time.Duration // between looks; 0: a second
}

var livePage = template.Must(template.New("live.html").Funcs(template.FuncMap{
	"style":  func() (template.CSS, error) { t, err := web.ReadFile("web/page.css"); return template.CSS(t), err },
	"script": func() (template.JS, error) { t, err := web.ReadFile("web/live.js"); return template.JS(t), err },
}).ParseFS(web, "web/live.html"))

// Handler answers / with the page and /events?metric=NAME with server-sent events:
// "runs" whenever there are others, "points" whenever one has got further.
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
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r.Host) {
			http.Error(w, "ask for localhost", http.StatusForbidden)
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
	if err := livePage.Execute(&out, l); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; img-src data:; script-src 'unsafe-inline'; style-src 'unsafe-inline'")
	_, _ = w.Write(out.Bytes())
}

func (l Live) events(w http.ResponseWriter, r *http.Request) {
	metric := r.URL.Query().Get("metric")
	if metric == "" {
		metric = l.Metric
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	feed := feed{Live: l, metric: metric, runs: map[string]*followed{}, to: http.NewResponseController(w), out: w}
	if err := feed.follow(r.Context()); err != nil && r.Context().Err() == nil {
		_ = feed.send("problem", map[string]string{"text": err.Error()})
	}
}

// A feed is what one page is told.
type feed struct {
	Live
	metric string
	runs   map[string]*followed
	told   string // the last event of runs
	to     *http.ResponseController
	out    http.ResponseWriter
}

// A followed run, and how much of it was sent.
type followed struct {
	run  *Run
	size int64
	when time.Time
	sent int
	last float64 // value of the last point that was sent
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

// look reads what has changed and sends it.
func (f *feed) look() error {
	dirs, err := Find(f.Dirs...)
	if err != nil {
		return err
	}
	runs := make([]*Run, 0, len(dirs))
	for _, dir := range dirs {
		one := f.runs[dir]
		if one == nil {
			one = &followed{}
			f.runs[dir] = one
		}
		if err := one.read(dir); err == nil { // it may be half written: the next look finds more
			runs = append(runs, one.run)
		}
	}
	if err := f.tellRuns(runs); err != nil {
		return err
	}
	for _, r := range runs {
		if err := f.tellPoints(r); err != nil {
			return err
		}
	}
	return nil
}

// read reads the run again if its metrics have changed.
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

// liveRun is a run as the page has it.
type liveRun struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Label  string `json:"label"` // of its configuration
	Env    string `json:"env"`
	Colour string `json:"colour"`
	Seed   uint64 `json:"seed"`
	Step   int64  `json:"step"`
	Steps  int64  `json:"steps"`
}

// tellRuns sends the list of runs and of their metrics, if it is another one. Runs of
// one configuration have one colour, that of the report.
func (f *feed) tellRuns(runs []*Run) error {
	groups, _ := group(slices.Clone(runs))
	list, metrics := []liveRun{}, map[string]bool{}
	for _, g := range groups {
		for _, r := range g.Runs {
			steps, _ := strconv.ParseInt(r.Total(), 10, 64)
			list = append(list, liveRun{r.Dir, filepath.Base(r.Dir), g.Label, g.Env, hex(colourOf(g.Style)), uint64(r.Info.Seed), r.Step, steps})
			for name := range r.series {
				metrics[name] = true
			}
		}
	}
	delete(metrics, "step")
	names := make([]string, 0, len(metrics))
	for name := range metrics {
		names = append(names, name)
	}
	slices.Sort(names)
	event := map[string]any{"runs": list, "metrics": names, "metric": f.metric}
	text, err := json.Marshal(event)
	if err != nil || string(text) == f.told {
		return err
	}
	f.told = string(text)
	return f.send("runs", event)
}

// tellPoints sends the points of a run that are new. One that was continued from an
// earlier step is sent anew.
func (f *feed) tellPoints(r *Run) error {
	one, s := f.runs[r.Dir], r.series[f.metric]
	if one.sent > len(s.values) || one.sent > 0 && s.values[one.sent-1] != one.last {
		one.sent = 0
	}
	if one.sent == len(s.values) {
		return nil
	}
	steps, values := s.steps[one.sent:], make([]any, 0, len(s.values)-one.sent)
	for _, x := range s.values[one.sent:] {
		if math.IsInf(x, 0) {
			values = append(values, nil) // JSON has no word for it
			continue
		}
		values = append(values, x)
	}
	event := map[string]any{"id": r.Dir, "from": one.sent, "steps": steps, "values": values}
	one.sent, one.last = len(s.values), s.values[len(s.values)-1]
	return f.send("points", event)
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
