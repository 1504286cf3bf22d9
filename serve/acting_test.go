package serve_test

import (
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/serve/client"
)

// Ensure that a run exported with only what acting needs is smaller, is served with the
// same actions, has values only if its actions need critics, and can't be trained on.
func TestServesActing(t *testing.T) {
	averaged := append(slices.Clone(small), "agent.policy_average=0.9")
	for name, c := range map[string]struct {
		run    run
		values bool
	}{
		"gaussian":  {newRun(t, "walker2d/sac-fast", small...), false},
		"particles": {newRun(t, "walker2d/p-svgd", append(averaged, "agent.particles=4", "agent.critic_average=0.9")...), true},
	} {
		t.Run(name, func(t *testing.T) {
			c.run.save(t, 100, c.run.learner(t, 7))
			reduced, again := c.run, c.run
			reduced.dir, again.dir = filepath.Join(t.TempDir(), "reduced"), filepath.Join(t.TempDir(), "again")
			for _, x := range []experiments.RunExport{
				{Dir: c.run.dir, To: reduced.dir, Acting: true},
				{Dir: reduced.dir, To: again.dir}, // what was left out stays out
			} {
				x.Log = slog.New(slog.DiscardHandler)
				if step, err := experiments.Builtin().ExportRun(x); err != nil || step != 100 {
					t.Fatal(step, err)
				}
			}
			if before, after := sizeOf(t, c.run.dir), sizeOf(t, reduced.dir); 3*after > 2*before {
				t.Errorf("%d of %d bytes are left", after, before)
			}
			if _, err := runs.Open(reduced.dir); err == nil || !strings.Contains(err.Error(), reduced.dir+" was exported") {
				t.Errorf("it opens to be trained on: %v", err)
			}

			server := dial(t, start(t, config(t, c.run, reduced, again)), client.Options{})
			obs := observations(rand.New(rand.NewPCG(1, 2)), 5)
			for _, greedy := range []bool{true, false} {
				var answers []client.Answer
				for _, policy := range []string{"a", "b", "c"} {
					a, err := server.Act(t.Context(), obs, client.Ask{Policy: policy, Deterministic: greedy, Seed: ptr(uint64(3))})
					if err != nil {
						t.Fatal(err)
					}
					answers = append(answers, a)
				}
				whole := answers[0]
				for _, a := range answers[1:] {
					if !slices.Equal(a.Actions, whole.Actions) || !slices.Equal(a.LogProbs, whole.LogProbs) || len(a.Entropies) != len(whole.Entropies) {
						t.Errorf("greedy %t: %+v\nwant %+v", greedy, a, whole)
					}
					if c.values && !slices.Equal(a.QValues, whole.QValues) || !c.values && len(a.QValues) > 0 {
						t.Errorf("greedy %t: values %v of %v", greedy, a.QValues, whole.QValues)
					}
				}
			}
		})
	}
}

// sizeOf is the number of bytes of the files below a folder.
func sizeOf(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
