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
	before := "version: 2\nreplay: {kind: uniform, capacity: 9, exponent: 0.6, weight: 0.4}\npolicy: {sampler: {bound: {kind: \"off\", alpha: 0.9}}}"
	after := "version: 2\nreplay: {kind: uniform, capacity: 9}\npolicy: {sampler: {bound: {kind: \"off\"}}}"
	a, err := report.ParseSettings([]byte(before))
	if err != nil {
		t.Fatal(err)
	}
	b, err := report.ParseSettings([]byte(after))
	if err != nil {
		t.Fatal(err)
	}
	if d := report.Diff(a, b); len(d) > 0 {
		t.Errorf("keys of other kinds: %v", d)
	}
	if d := report.Diff(old, now); len(d) != 1 || d[0].Key != "agent.gamma" {
		t.Errorf("%v", d)
	}
}
