package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stein-rl/stein/internal/python"
)

// A rayCluster is several Ray nodes on this machine, each with processes of its own.
type rayCluster struct {
	*dialogue
	Address string
	Client  string // the same for ray.init("ray://…")
}

func newRayCluster(t *testing.T, nodes int) *rayCluster {
	t.Helper()
	python := needsPython(t, "ray")
	d := talk(t, exec.Command(python, "testdata/ray_cluster.py", fmt.Sprint(nodes)))
	r := decode[rayCluster](t, d.line("starting a Ray cluster"))
	r.dialogue = d
	return &r
}

// needsPython skips the test where a package is missing, except in CI.
func needsPython(t *testing.T, module string) (interpreter string) {
	t.Helper()
	interpreter = must(python.Find(""))
	if err := exec.Command(interpreter, "-c", "import "+module).Run(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no %s: make test installs requirements-cluster.txt", module)
		}
		t.Skipf("no %s here: pip install -r requirements-cluster.txt", module)
	}
	return interpreter
}

func (r *rayCluster) do(command string) {
	r.t.Helper()
	fmt.Fprintln(r.in, command)
	if line := r.line("Ray cluster: " + command); line != "done" {
		r.t.Fatalf("Ray cluster: %s: %q", command, line)
	}
}

// runtimeEnv lets the test binary be stein on nodes too.
func runtimeEnv(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "env.yaml")
	if err := os.WriteFile(file, []byte("env_vars: {STEIN_TEST_MAIN: \"1\"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestOnRay has what needs several nodes, on one cluster: it takes long to start.
func TestOnRay(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a Ray cluster")
	}
	cluster := newRayCluster(t, 2)
	t.Run("sweep", func(t *testing.T) { sweepOnRay(t, cluster) })
	t.Run("simulators", func(t *testing.T) { simulatorsOnRay(t, cluster) })
}

// sweepOnRay ensures that a sweep on Ray survives the death of a node: its trial goes on
// elsewhere from its last checkpoint, in a shared folder or in storage behind an URL, and
// all trials end with the figures of a sweep that nothing happened to.
func sweepOnRay(t *testing.T, cluster *rayCluster) {
	more := []string{"--seeds", "3", "--set", "checkpoint.exact=true", "--set", "steps=3000", "--set", "log.every=250", "--set", "checkpoint.every=250"}
	quiet := filepath.Join(t.TempDir(), "quiet")
	if o := finish(t, plainStein(append(tinySweep(quiet, more...), "--jobs", "2")...)); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	for _, kept := range []string{"folder", "storage"} {
		t.Run(kept, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "sweep")
			at, args := dir, append(more, "--ray", cluster.Address, "--runtime-env", runtimeEnv(t), "--jobs", "3")
			if kept == "storage" {
				at = t.TempDir()
				args = append(args, "--storage", "file://"+at)
			}
			c := plainStein(tinySweep(dir, args...)...)
			var out, errs bytes.Buffer
			c.Stdout, c.Stderr = &out, &errs
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			const victim = "pendulum-sac-s0"
			for end := time.Now().Add(patience); nodeOf(t, dir, victim) == "" || !checkpointed(at, victim); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					_ = c.Process.Kill()
					t.Fatalf("nothing within %v: %s", patience, errs.String())
				}
			}
			node := nodeOf(t, dir, victim)
			cluster.do("kill " + node)
			cluster.do("add")
			if err := ended(t, c); err != nil {
				log, _ := os.ReadFile(filepath.Join(dir, "ray.log"))
				t.Fatalf("%v: %s\n%s\n%s", err, out.String(), errs.String(), log)
			}
			var lost int
			for _, e := range journal(t, dir) {
				if e.Event == "lost" {
					lost++
				}
				if e.Event == "resumed" && (e.Step == 0 || strings.HasSuffix(e.Node, node)) {
					t.Errorf("%+v after node %s died", e, node)
				}
			}
			// The node may have had two of the three trials.
			if got := happened(t, dir, victim); lost < 1 || lost > 2 || strings.Join(got, " ") != "began lost resumed done" {
				t.Errorf("%d lost; of %s %v: %+v", lost, victim, got, journal(t, dir))
			}
			for seed := range 3 {
				trial := fmt.Sprintf("pendulum-sac-s%d", seed)
				if got, want := figures(t, filepath.Join(dir, trial)), figures(t, filepath.Join(quiet, trial)); !reflect.DeepEqual(got, want) {
					t.Errorf("%s differs from the undisturbed one:\n%v\n%v", trial, got, want)
				}
			}
		})
	}
}

// simulatorsOnRay ensures that simulators placed on a cluster's nodes give the run that
// local ones give, through Ray's client, and that the death of a node costs steps, not
// the run.
func simulatorsOnRay(t *testing.T, cluster *rayCluster) {
	local, placed, moved := filepath.Join(t.TempDir(), "local"), filepath.Join(t.TempDir(), "placed"), filepath.Join(t.TempDir(), "moved")
	fast := []string{"--backend", "go:ops_sequential", "--workers", "2", "--eval-freq", "0", "--eval-episodes", "1"}
	long := append(fast[:len(fast):len(fast)], "--steps", "600") // an episode of each worker is 400
	a, b := train(t, local, long...), train(t, placed, append(long, "--env-hosts", cluster.Client, "--eval-freq", "300")...)
	if a.code != 0 || b.code != 0 {
		t.Fatalf("%+v\n%+v", a, b)
	}
	x, y := figures(t, local)["rollout/ep_rew_mean"], figures(t, placed)["rollout/ep_rew_mean"]
	if len(x[1]) == 0 || !reflect.DeepEqual(x, y) {
		t.Errorf("placed simulators give other returns: %v, local ones %v", y, x)
	}

	c := plainStein(append(append([]string{"train", "--config", "pendulum/sac", "--run-dir", moved}, small...), append(fast,
		"--env-hosts", cluster.Address, "--steps", "4000", "--set", "env.timeout=3s")...)...)
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitForStep(t, moved, 100, &errs)
	cluster.do("kill")
	cluster.do("add")
	if err := ended(t, c); err != nil {
		t.Fatalf("%v, %s", err, errs.String())
	}
	failures := figures(t, moved)["env/worker_failures"][1]
	if steps := figures(t, moved)["env/worker_failures"][0]; failures[len(failures)-1] == 0 || steps[len(steps)-1] != 4000 {
		t.Errorf("failures %v at steps %v", failures, steps)
	}
}

// checkpointed says whether a trial has written a checkpoint.
func checkpointed(dir, trial string) bool {
	whole, _ := filepath.Glob(filepath.Join(dir, trial, "checkpoints", "step-*", "manifest.json"))
	return len(whole) > 0
}

// nodeOf is the id, its beginning, of the node that a trial began on.
func nodeOf(t *testing.T, dir, trial string) string {
	t.Helper()
	for _, e := range journal(t, dir) {
		if e.Trial == trial && e.Event == "began" {
			return e.Node[strings.LastIndexByte(e.Node, ' ')+1:]
		}
	}
	return "" // not begun yet
}
