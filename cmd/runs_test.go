package cmd_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/cmd"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/runs"
)

// aRun makes the folder of a run that has recorded two rows.
func aRun(t *testing.T, dir string, sets ...string) {
	t.Helper()
	cfg, err := experiments.Builtin().Resolve("pendulum/sac", append(sets, "seed=3"))
	if err != nil {
		t.Fatal(err)
	}
	folder, err := runs.Create(dir, "", "pendulum/sac", cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := folder.Begin(runs.Session{}); err != nil {
		t.Fatal(err)
	}
	rows := "step,time,eval/mean_reward\n100,1,-900\n200,2,-700.5\n"
	if err := os.WriteFile(filepath.Join(dir, "metrics.csv"), []byte(rows), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Ensure that runs are listed with how far they are, that a diff has what differs and
// nothing else, and that tags stay until they are taken away.
func TestRuns(t *testing.T) {
	t.Chdir(t.TempDir())
	aRun(t, "runs/a")
	aRun(t, "runs/deeper/b", "agent.gamma=0.9", "policy={kind: flow}")
	// A signal ends a long listing at once.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs bytes.Buffer
	if code := cmd.Execute(ctx, experiments.Builtin(), []string{"runs"}, io.Discard, &errs); code != 1 || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("code %d, %s", code, errs.String())
	}
	code, stdout, stderr := run(t, "runs")
	if lines := strings.Split(strings.TrimSpace(stdout), "\n"); code != 0 || len(lines) != 3 || !strings.Contains(lines[1], "pendulum/sac") || !strings.Contains(lines[1], "200/10000  -700.5") {
		t.Errorf("code %d, %s%s", code, stdout, stderr)
	}
	if err := os.WriteFile("runs/deeper/b/metrics.csv", []byte("damaged\n"), 0o644); err != nil { // a diff is of settings
		t.Fatal(err)
	}
	_, stdout, _ = run(t, "runs", "diff", "runs/a", "runs/deeper/b")
	if !strings.HasPrefix(stdout, "agent.gamma") || !strings.Contains(stdout, "0.99") || !strings.Contains(stdout, "policy.kind") || strings.Contains(stdout, "agent.tau") {
		t.Errorf("%s", stdout)
	}
	if code, _, stderr = run(t, "runs", "tag", "runs/a", "good", "to plot"); code != 0 {
		t.Fatal(stderr)
	}
	_, stdout, _ = run(t, "runs", "list", "--tag", "to plot")
	if !strings.Contains(stdout, "good, to plot") || strings.Contains(stdout, "runs/deeper/b") {
		t.Errorf("%s", stdout)
	}
	run(t, "runs", "tag", "runs/a", "good", "to plot", "--remove")
	if _, stdout, _ = run(t, "runs", "list", "--tag", "good"); strings.Contains(stdout, "runs/a") || there("runs/a/tags") {
		t.Errorf("%s", stdout)
	}
	if code, _, stderr = run(t, "runs", "tag", "runs/deeper", "good"); code != 1 || !strings.Contains(stderr, "is not a run folder") {
		t.Errorf("code %d, %s", code, stderr)
	}
}

// Ensure that nothing is removed without a yes, that is no run, or that is in use.
func TestRunsRemove(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"a", "b", "busy"} {
		aRun(t, dir)
	}
	if err := os.Mkdir("thesis", 0o755); err != nil {
		t.Fatal(err)
	}
	folder, err := runs.Open("busy")
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := runs.CreateExported("given", "a", runs.Info{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		answer, want string
		args         []string
		code         int
	}{
		{"n\n", "no run was removed", []string{"a", "b"}, 1},
		{"", "no run was removed", []string{"a", "b"}, 1},
		{"", "is not a run folder", []string{"a", "thesis", "-y"}, 1},
		{"", "in use by another process", []string{"a", "busy", "-y"}, 1},
		{"y\n", "remove 3 run folders", []string{"a", "b", "given"}, 0},
	} {
		if !there("a") || !there("b") {
			t.Fatalf("a run is gone before %q", c.args)
		}
		var out, errs bytes.Buffer
		p := stein(append([]string{"runs", "rm"}, c.args...)...)
		p.Stdin, p.Stdout, p.Stderr = strings.NewReader(c.answer), &out, &errs
		_ = p.Run()
		if p.ProcessState.ExitCode() != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("rm %q with %q: code %d, %s", c.args, c.answer, p.ProcessState.ExitCode(), errs.String())
		}
	}
	if there("a") || there("b") || there("given") || !there("busy") || !there("thesis") {
		t.Error("want a and b removed, and these alone")
	}
}

// Ensure that a damaged run folder is named beside the sound ones, that the list is
// strict JSON whatever the metrics hold, and that a name does not steer the terminal.
func TestRunsDamaged(t *testing.T) {
	t.Chdir(t.TempDir())
	aRun(t, "runs/a")
	aRun(t, "runs/cut")
	aRun(t, "runs/odd\x1b[31m\tname")
	for path, text := range map[string]string{
		"runs/cut/run.json":                  `{"id": "cut`,
		"runs/odd\x1b[31m\tname/metrics.csv": "step,time,eval/mean_reward\n100,NaN,+Inf\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := run(t, "runs", "list", "--json")
	got := decode[[]struct {
		Folder string
		Return *float64
	}](t, stdout)
	if code != 0 || len(got) != 2 || got[1].Return != nil || !strings.Contains(stderr, "skipped: runs/cut: run folder: runs/cut/run.json: it is truncated") {
		t.Errorf("code %d, %+v, %s", code, got, stderr)
	}
	if err := os.Mkdir("none", 0o755); err != nil {
		t.Fatal(err)
	}
	// A folder without runs hides no other, in any command.
	if code, stdout, stderr = run(t, "runs", "list", "none", "runs/a", "gone"); code != 0 || !strings.Contains(stdout, "runs/a") || !strings.Contains(stderr, "skipped: none: no run.json") || !strings.Contains(stderr, "skipped: gone: cannot read") {
		t.Errorf("code %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr = run(t, "report", "runs/a", "none", "runs/odd\x1b[31m\tname", "--resamples", "10"); code != 0 || !strings.Contains(stderr, "skipped: none: no run.json") || !strings.Contains(stderr, "odd?[31m?name: it has no values") {
		t.Errorf("code %d, %q", code, stderr)
	}
	if code, _, stderr = run(t, "runs", "list", "none", "gone"); code != 1 || !strings.Contains(stderr, "no run.json in none") {
		t.Errorf("code %d, %s", code, stderr)
	}
	if code, stdout, _ = run(t, "runs"); code != 0 || strings.ContainsAny(stdout, "\x1b\t") || !strings.Contains(stdout, "odd?[31m?name") {
		t.Errorf("code %d, %q", code, stdout)
	}
}
