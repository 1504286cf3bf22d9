package report_test

import (
	"testing"

	"github.com/stein-rl/stein/report"
)

// Ensure that a run of version 1 differs from one of version 2 in nothing but what was
// chosen otherwise.
func TestOldSettings(t *testing.T) {
	old, err := report.ParseSettings([]byte("version: 1\nagent: {gamma: 0.9, batch_size: 8}"))
	if err != nil {
		t.Fatal(err)
	}
	now, err := report.ParseSettings([]byte("version: 2\nagent: {kind: sac, gamma: 0.99}\nschedule: {batch_size: 8}"))
	if err != nil {
		t.Fatal(err)
	}
	if d := report.Diff(old, now); len(d) != 1 || d[0].Key != "agent.gamma" {
		t.Errorf("%v", d)
	}
}
