package cmd

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/runs"
)

// progress shows the progress of a run: a bar on a terminal, log lines elsewhere. On a
// terminal, logs are written through it, above the bar.
type progress struct {
	out     io.Writer
	log     *slog.Logger // for log lines without a bar
	columns int          // 0: no terminal
	follows []followed   // figures shown to the user
	unit    string       // name of a step
	total   int64
	step    atomic.Int64

	mu      sync.Mutex
	started time.Time
	from    int64 // steps of earlier processes
	last    agents.Metrics
	marks   []mark
	shown   bool // the cursor is on a bar
	logged  time.Time
	done    chan struct{}
	stopped sync.WaitGroup
}

// Intervals between bars and log lines.
const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 10 * time.Second
)

var _ runs.Watcher = (*progress)(nil)

// newProgress shows nothing until Start. columns is the width of a terminal, 0 without
// one.
func newProgress(out io.Writer, columns int) *progress {
	return &progress{
		out: out, columns: columns, last: agents.Metrics{}, done: make(chan struct{}), unit: "steps",
		follows: []followed{{"return", trainReturn, false}, {"eval_return", evalReturn, true}},
	}
}

// Start starts to show a run at step from of total.
func (p *progress) Start(from, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started, p.from, p.total = time.Now(), from, total
	p.step.Store(from)
	if p.columns == 0 {
		return
	}
	p.stopped.Go(func() {
		tick := time.NewTicker(barEvery)
		defer tick.Stop()
		for {
			select {
			case <-p.done:
				return
			case <-tick.C:
				p.mu.Lock()
				p.draw()
				p.mu.Unlock()
			}
		}
	})
}

// begun says whether training has: until then environments start and graphs compile.
func (p *progress) begun() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.started.IsZero()
}

// Stepped says that training has come to a step. It is cheap.
func (p *progress) Stepped(step int64) { p.step.Store(step) }

// Record stores what a bar shows, and logs a line if there is no bar.
func (p *progress) Record(step int64, m agents.Metrics) error {
	p.step.Store(step)
	if attrs := p.note(step, m); attrs != nil { // outside the lock: logging takes it
		p.log.Info("progress", attrs...)
	}
	return nil
}

// note stores figures, and returns the attributes to log now, if any.
func (p *progress) note(step int64, m agents.Metrics) []any {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, x := range m {
		p.last[name] = x
	}
	evaluated := slices.ContainsFunc(p.follows, func(f followed) bool {
		_, has := m[f.metric]
		return f.evaluated && has
	})
	if p.columns > 0 || !evaluated && time.Since(p.logged) < lineEvery && step < p.total {
		return nil
	}
	p.logged = time.Now()
	attrs := []any{"step", step, "of", p.total, p.unit + "_per_s", math.Round(p.rate(step)*10) / 10, "eta", p.eta(step).String()}
	for _, f := range p.follows {
		if x, ok := p.last[f.metric]; ok {
			attrs = append(attrs, f.name, math.Round(x*10)/10)
		}
	}
	for _, phase := range phases {
		if x, ok := p.last["time/"+phase]; ok {
			attrs = append(attrs, phase, fmt.Sprintf("%.0f%%", 100*x))
		}
	}
	return attrs
}

// A followed figure is shown during training.
type followed struct {
	name, metric string
	evaluated    bool // from an evaluation, which is always logged
}

// The figures of an agent's training.
const (
	trainReturn = "rollout/ep_rew_mean"
	evalReturn  = "eval/mean_reward"
)

// The phases of a run's time: the largest is the bottleneck.
var phases = []string{"act", "env_wait", "sample", "update"}

// Write writes logs above the bar.
func (p *progress) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shown {
		return p.out.Write(line)
	}
	var b bytes.Buffer
	b.WriteString(eraseLine)
	b.Write(line)
	p.shown = false
	if _, err := p.out.Write(b.Bytes()); err != nil {
		return 0, err
	}
	p.draw()
	return len(line), nil
}

// stop leaves the last bar and shows nothing more.
func (p *progress) stop() {
	close(p.done)
	p.stopped.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.columns > 0 && p.total > 0 {
		p.draw()
		fmt.Fprintln(p.out)
		p.shown = false
	}
}

const eraseLine = "\r\x1b[K"

func (p *progress) draw() {
	step := p.step.Load()
	share := min(1, float64(step)/float64(max(1, p.total)))
	figures := fmt.Sprintf(" %3.0f %%  %s/%s  %s %s/s", 100*share, thousands(step), thousands(p.total), rateText(p.rate(step)), p.unit)
	for _, f := range p.follows {
		if x, ok := p.last[f.metric]; ok {
			figures += fmt.Sprintf("  %s %.1f", strings.TrimSuffix(f.name, "_return"), x)
		}
	}
	if step < p.total {
		figures += "  ETA " + p.eta(step).String()
	}
	const marks = 2
	size := min(30, p.columns-len(figures)-marks-1)
	bar := ""
	if size > 4 {
		full := int(share * float64(size))
		bar = "[" + strings.Repeat("=", full) + strings.Repeat(" ", size-full) + "]"
	}
	line := bar + figures
	if len(line) >= p.columns { // a line that wraps cannot be erased
		line = line[:max(0, p.columns-1)]
	}
	fmt.Fprint(p.out, eraseLine+line)
	p.shown = true
}

// rate is the recent steps per second: random steps at the start are much faster than
// later ones, so an overall average would be too high.
func (p *progress) rate(step int64) float64 {
	now := time.Now()
	if len(p.marks) == 0 {
		p.marks = []mark{{p.started, p.from}}
	}
	if now.Sub(p.marks[len(p.marks)-1].at) > rateWindow/20 {
		p.marks = append(p.marks, mark{now, step})
	}
	for len(p.marks) > 1 && now.Sub(p.marks[1].at) > rateWindow {
		p.marks = p.marks[1:]
	}
	first := p.marks[0]
	return float64(step-first.step) / max(now.Sub(first.at).Seconds(), 1e-3)
}

// rateText has a decimal for small rates.
func rateText(x float64) string {
	if x < 10 {
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// A mark is the step of a run at a time.
type mark struct {
	at   time.Time
	step int64
}

const rateWindow = 20 * time.Second

func (p *progress) eta(step int64) time.Duration {
	rate := p.rate(step)
	if rate <= 0 {
		return 0
	}
	left := time.Duration(float64(p.total-step) / rate * float64(time.Second))
	if left > time.Hour {
		return left.Round(time.Minute)
	}
	return left.Round(time.Second)
}

// thousands formats 12345 as 12,345.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
