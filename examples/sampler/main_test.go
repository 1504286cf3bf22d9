package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
)

// Ensure that the example runs, that the fit lowers the loss, and that the entropy ends
// near the truth.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	var n int
	var loss, entropy, exact [6]float64
	for i, line := range lines {
		if _, err := fmt.Sscanf(line, "fit %d: loss %f, entropy %f of %f", &n, &loss[i], &entropy[i], &exact[i]); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	if !(loss[5] < loss[0]-0.1) {
		t.Errorf("loss from %g to %g", loss[0], loss[5])
	}
	if !(math.Abs(entropy[5]-exact[5]) < 0.5 && math.Abs(entropy[5]-exact[5]) < math.Abs(entropy[0]-exact[0])) {
		t.Errorf("entropy from %g to %g, want near %g", entropy[0], entropy[5], exact[5])
	}
}
