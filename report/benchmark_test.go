package report_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/report"
)

// recordOf writes a run folder: evaluations every 25,000 steps, two hours an evaluation,
// processor time that begins anew where the run was resumed.
func recordOf(t *testing.T, dir, config string, seed int, returns ...float64) {
	t.Helper()
	files := map[string]string{
		"run.json":    fmt.Sprintf(`{"id": "x", "config": %q, "seed": %d, "exported": true}`, config, seed),
		"config.yaml": fmt.Sprintf("seed: %d\nsteps: 100000\nenv: {id: Hopper-v5}\nagent: {kind: %s}\n", seed, strings.TrimPrefix(config, "peers/")),
	}
	rows := "step,time,eval/mean_reward,time/cpu,time/time_elapsed\n"
	for i, x := range returns {
		rows += fmt.Sprintf("%d,%d,%g,%d,%d\n", 25000*(i+1), 7200*(i+1), x, 3600*(i%2+1), 7200*(i+1))
	}
	files["metrics.csv"] = rows
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Ensure that the table has returns at the milestones, evaluations that fell, what runs
// cost over all their sessions, and the published figures of the environment.
func TestBenchmark(t *testing.T) {
	dir := t.TempDir()
	recordOf(t, filepath.Join(dir, "a1"), "hopper/sac-fast", 1, 100, 200, 90, 300)
	recordOf(t, filepath.Join(dir, "a2"), "hopper/sac-fast", 2, 300, 400, 500, 500)
	recordOf(t, filepath.Join(dir, "b1"), "peers/sbx-crossq", 1, 10, 20)
	r, err := report.New([]string{dir}, report.Options{Bootstrap: report.Bootstrap{Resamples: 200}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Benchmark()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## Hopper-v5\n",
		"| configuration | runs | 25,000 | 50,000 | 100,000 | fallen evaluations | steps/s | hours a run | processor hours |\n",
		// 90 is below half of 300, the median of the last two; 1 h + 2 h, twice.
		"| `hopper/sac-fast` | 2 | 200 [100, 300] | 300 [200, 400] | 400 [300, 500] | 1 of 4 | 3.47 | 8 | 4 |\n",
		"| `peers/sbx-crossq` | 1 | 10 (1 run) | 20 (1 run) |  | 0 of 1 | 3.47 | 4 | 2 |\n",
		"| CrossQ, width 2048 | 1 | 2764 | 2644 |  | Bhatt et al. 2024 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
}
