package figures

import (
	"maps"
	"testing"
)

// Ensure that a figure is the mean over the updates that had it, that the number of
// updates is a count, and that Take leaves nothing behind.
func TestAverages(t *testing.T) {
	var a Averages
	for i, m := range []map[string]float64{
		{"train/critic_loss": 1, "train/n_updates": 8},
		{"train/critic_loss": 2, "train/n_updates": 16},
		{"train/critic_loss": 6, "train/n_updates": 24, "train/actor_loss": -4},
	} {
		a.Add(m)
		if i == 0 {
			m["train/critic_loss"] = 100 // the caller's again
		}
	}
	got := map[string]float64{"time/fps": 7}
	a.Take(got)
	want := map[string]float64{"time/fps": 7, "train/critic_loss": 3, "train/actor_loss": -4, "train/n_updates": 24}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	got = map[string]float64{}
	if a.Take(got); len(got) != 0 {
		t.Errorf("%v after all was taken", got)
	}
}
