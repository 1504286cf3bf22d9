package cmd

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stein-rl/stein/agents"
)

// Ensure that a bar never wraps, and that log lines stand whole above it.
func TestProgressOnTerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, 80)
	p.Start(0, 20_000)
	if err := p.Record(5_000, agents.Metrics{trainReturn: 312.44, evalReturn: -1}); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.draw()
	p.mu.Unlock()
	if _, err := p.Write([]byte("level=INFO msg=hello\n")); err != nil {
		t.Fatal(err)
	}
	p.stop()
	for _, line := range strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if line = strings.TrimPrefix(line, "\x1b[K"); len(line) >= 80 {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
	for _, want := range []string{" 25 %", "5,000/20,000", "return 312.4", "eval -1.0", "ETA", eraseLine + "level=INFO msg=hello\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	if !strings.HasSuffix(out.String(), "\n") {
		t.Error("the bar's line is not ended")
	}
}

// Ensure that a narrow terminal gets what fits.
func TestProgressNarrow(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, 10)
	p.Start(0, 100)
	p.stop()
	if got := strings.TrimSuffix(strings.TrimPrefix(out.String(), eraseLine), "\n"); len(got) > 9 {
		t.Errorf("%q is %d columns wide", got, len(got))
	}
}

// Ensure that without a terminal there are lines for programs and no cursor control.
func TestProgressElsewhere(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, 0)
	p.log = slog.New(slog.NewTextHandler(p, nil))
	p.Start(0, 100)
	for step := int64(10); step <= 100; step += 10 {
		m := agents.Metrics{trainReturn: float64(step), "time/update": 0.5}
		if step == 50 {
			m[evalReturn] = 7
		}
		if err := p.Record(step, m); err != nil {
			t.Fatal(err)
		}
	}
	p.stop()
	if strings.ContainsAny(out.String(), "\x1b\r") {
		t.Errorf("cursor control in %q", out.String())
	}
	if n := strings.Count(out.String(), "msg=progress"); n != 3 { // the first record, the evaluation and the end
		t.Errorf("%d lines in\n%s", n, out.String())
	}
	for _, want := range []string{"step=10 ", "step=50", "eval_return=7", "step=100", "update=50%"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
