package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/cmd"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/random"
)

// Ensure that log π is the density of the draws: the mean of 1/π over those within
// a box is the volume of the box.
func TestDensity(t *testing.T) {
	p := Mixture{nn.Network{Hidden: []int{8}, Activation: "relu"}, 3, 0.5}
	store := model.NewStore()
	exec, err := model.NewExec(enginetest.Backend(t), store, func(scope *model.Scope, key, obs *Node) (*Node, *Node) {
		d := p.Sample(policies.Query{Scope: scope, Key: random.NewKey(key), Obs: obs, Particles: 20_000, ActDim: 2})
		return d.Action, d.LogProb
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := RNGStateFromSeed(4)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Call(key, [][]float32{{0.4, -2, 1}})
	if err != nil {
		t.Fatal(err)
	}
	action, logProb := tensors.MustCopyFlatData[float32](out[0]), tensors.MustCopyFlatData[float32](out[1])
	const edge = 0.7
	volume := 0.0
	for i, lp := range logProb {
		if math.Abs(float64(action[2*i])) < edge && math.Abs(float64(action[2*i+1])) < edge {
			volume += math.Exp(-float64(lp)) / float64(len(logProb))
		}
	}
	if want := 4 * edge * edge; math.Abs(volume-want) > 0.05*want {
		t.Errorf("volume %.3f, want %.3f", volume, want)
	}
}

// Ensure that the policy trains from the command line, by its name.
func TestTrainsByName(t *testing.T) {
	if testing.Short() {
		t.Skip("trains an agent")
	}
	runs := t.TempDir()
	var stdout, stderr bytes.Buffer
	code := cmd.Execute(t.Context(), catalog(), []string{
		"train", "--config", "pendulum/sac", "--runs", runs, "--seed", "1", "--steps", "200",
		"--set", "policy={kind: mixture, k: 5, hidden: [16]}",
		"--set", "agent={critic: {hidden: [16]}}", "--set", "schedule={batch_size: 16, random_steps: 50, learning_starts: 50}",
		"--set", "replay.capacity=1000", "--eval-freq", "0", "--eval-episodes", "1",
	}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr.String())
	}
	found, err := filepath.Glob(filepath.Join(runs, "*", "config.yaml"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d run folders, error %v\n%s", len(found), err, stderr.String())
	}
	config, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"kind: mixture", "k: 5", "std: 0.3"} {
		if !strings.Contains(string(config), line) {
			t.Errorf("no %q in\n%s", line, config)
		}
	}
	code = cmd.Execute(t.Context(), catalog(), []string{"train", "--config", "pendulum/sac", "--set", "policy={kind: mixture, k: 0}"}, &stdout, &stderr)
	if code != 2 || !strings.Contains(stderr.String(), "policy.k: 0: want >= 1") {
		t.Errorf("k = 0: exit code %d\n%s", code, stderr.String())
	}
}

// Ensure that the page that explains this program shows this program.
func TestPageIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/adding_a_policy.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+string(source)+"```\n") {
		t.Error("docs/adding_a_policy.md shows another main.go")
	}
	if lines := strings.Count(string(source), "\n"); lines >= 60 {
		t.Errorf("%d lines, promised under 60", lines)
	}
}
