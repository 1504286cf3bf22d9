package main

import (
	"bytes"
	"fmt"
	"math"
	"testing"
)

// Ensure that the example's moments are the target's: 4000 independent chains have
// standard errors of 0.018 and 0.018, and five of them are allowed.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	var mean, second, accepted float64
	if _, err := fmt.Sscanf(out.String(), "mean %f, second moment %f of 1.250, accepted %f", &mean, &second, &accepted); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	if math.Abs(mean) > 0.09 || math.Abs(second-1.25) > 0.09 {
		t.Errorf("mean %g, want 0; second moment %g, want 1.25", mean, second)
	}
	if accepted < 0.3 || accepted > 0.99 {
		t.Errorf("accepted %g", accepted)
	}
}
