package ray

import (
	"testing"

	"github.com/stein-rl/stein/envbridge"
)

// Ensure that only workers of the training request processors: the others work while the
// training waits, and on a full cluster they would never be placed.
func TestCPUs(t *testing.T) {
	h := Hosts{cpus: 1.5}
	for purpose, want := range map[envbridge.Purpose]float64{
		envbridge.Training: 1.5, envbridge.Evaluation: 0, envbridge.Video: 0,
	} {
		if got := h.cpusOf(envbridge.Post{For: purpose, Number: 3}); got != want {
			t.Errorf("%s requests %g processors, want %g", purpose, got, want)
		}
	}
}
