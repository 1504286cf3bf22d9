package cmd

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/study"
)

// trialTable shows a sweep: a table that is redrawn on a terminal, a line per change
// elsewhere.
type trialTable struct {
	out     io.Writer
	columns int // 0: no terminal

	mu     sync.Mutex
	drawn  int // lines above the cursor
	states map[string]study.State
	tries  map[string]int
	told   map[string]time.Time // when a line on a trial's progress was last written
	now    func() time.Time
}

// Interval of lines about a running trial without a terminal.
const trialLineEvery = time.Minute

// maxTrialRows is the maximum number of rows; a large sweep shows its running trials and
// totals.
const maxTrialRows = 20

func newTrialTable(out io.Writer, columns int, dir string) *trialTable {
	fmt.Fprintf(out, "sweep in %s\n", dir)
	return &trialTable{
		out: out, columns: columns, states: map[string]study.State{}, tries: map[string]int{},
		told: map[string]time.Time{}, now: time.Now,
	}
}

// show is called with all trials at each change and once a second.
func (t *trialTable) show(all []study.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.columns == 0 {
		t.lines(all)
		return
	}
	t.draw(all)
}

// lines writes what has changed since the last call.
func (t *trialTable) lines(all []study.Status) {
	first := len(t.states) == 0
	for _, s := range all {
		changed := t.states[s.Name] != s.State || t.tries[s.Name] != s.Attempt
		t.states[s.Name], t.tries[s.Name] = s.State, s.Attempt
		switch {
		case changed && !(first && s.State == study.Waiting):
			line := fmt.Sprintf("%s %s %s, step %s of %s", t.now().Format("15:04:05"), s.Name, word(s), thousands(s.Step), thousands(s.Steps))
			if !math.IsNaN(s.Figure) {
				line += fmt.Sprintf(", %s %.1f", figureName(s.Trial), s.Figure)
			}
			if s.Why != "" && s.State != study.Running {
				line += ": " + s.Why
			}
			fmt.Fprintln(t.out, line)
			t.told[s.Name] = t.now()
		case s.State == study.Running && t.now().Sub(t.told[s.Name]) >= trialLineEvery:
			fmt.Fprintf(t.out, "%s %s step %s of %s, %s %s, ETA %s\n", t.now().Format("15:04:05"), s.Name,
				thousands(s.Step), thousands(s.Steps), figureName(s.Trial), figure(s.Figure), t.eta(s))
			t.told[s.Name] = t.now()
		}
	}
}

// word describes a state.
func word(s study.Status) string {
	on := ""
	if s.Node != "" {
		on = " on " + s.Node
	}
	switch {
	case s.State == study.Running && s.From > 0:
		return fmt.Sprintf("resumed%s (attempt %d)", on, s.Attempt)
	case s.State == study.Running && s.Attempt > 1:
		return fmt.Sprintf("started%s (attempt %d)", on, s.Attempt)
	case s.State == study.Running:
		return "runs" + on
	case s.State == study.Waiting && s.Why != "":
		return "failed, waiting for a retry"
	}
	return string(s.State)
}

// figureName is the name of a trial's figure.
func figureName(t study.Trial) string {
	if t.Kind == string(experiments.Images) {
		return "distance"
	}
	return "return"
}

func figure(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf("%.1f", x)
}

// eta is the remaining time of a running trial at its current pace.
func (t *trialTable) eta(s study.Status) string {
	did := s.Step - s.From
	if s.State != study.Running || did <= 0 {
		return ""
	}
	left := time.Duration(float64(t.now().Sub(s.Since)) * float64(s.Steps-s.Step) / float64(did))
	if left > time.Hour {
		return left.Round(time.Minute).String()
	}
	return left.Round(time.Second).String()
}

// draw draws the table over the last one.
func (t *trialTable) draw(all []study.Status) {
	rows := []string{fmt.Sprintf("%-44s %-9s %17s %10s %9s", "trial", "state", "step", "figure", "ETA")}
	counts := map[study.State]int{}
	for _, s := range all {
		counts[s.State]++
	}
	shown := 0
	for _, pass := range []func(study.Status) bool{
		func(s study.Status) bool { return s.State == study.Running },
		func(s study.Status) bool { return s.State == study.Failed },
		func(s study.Status) bool {
			return s.State == study.Done || s.State == study.Stopped || s.State == study.Early
		},
		func(s study.Status) bool { return s.State == study.Waiting },
	} {
		for _, s := range all {
			if shown < maxTrialRows && pass(s) {
				shown++
				rows = append(rows, fmt.Sprintf("%-44s %-9s %17s %10s %9s", clip(s.Name, 44), s.State,
					thousands(s.Step)+"/"+thousands(s.Steps), figure(s.Figure), t.eta(s)))
			}
		}
	}
	rows = append(rows, fmt.Sprintf("%d trials: %d running, %d done, %d failed, %d waiting", len(all),
		counts[study.Running], counts[study.Done], counts[study.Failed], counts[study.Waiting]+counts[study.Stopped]))
	var b strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", t.drawn)
	}
	for _, row := range rows {
		b.WriteString(eraseLine + clip(row, t.columns-1) + "\n")
	}
	b.WriteString("\x1b[J")
	fmt.Fprint(t.out, b.String())
	t.drawn = len(rows)
}

// clip shortens a text: a line that wraps cannot be overwritten.
func clip(text string, letters int) string {
	r := []rune(text)
	if len(r) <= letters {
		return text
	}
	return string(r[:max(0, letters-1)]) + "…"
}

// close leaves the last table.
func (t *trialTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drawn = 0
}
