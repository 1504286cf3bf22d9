package cmd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Ensure that a model of Stable-Baselines3 becomes a run that every command takes:
// it is evaluated, exported, and trained on from where it stood. (That its actions are
// those of Stable-Baselines3 is tested in sb3, and that exported ones are in export.)
func TestImport(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in a process of its own")
	}
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	model := "../interop/sb3/testdata/relu.zip"
	o := finish(t, steinInGo("import", model, "--config", "pendulum/sac", "--run-dir", run, "--set", "eval.episodes=1", "--set", "schedule.batch_size=16", "--set", "schedule.learning_starts=40"))
	if o.code != 0 || !strings.HasPrefix(o.stdout, "run         "+run+"\n") {
		t.Fatalf("%+v", o)
	}
	o = finish(t, steinInGo("eval", run, "--json"))
	played := decode[struct {
		Step int64
		Mean float64
	}](t, o.stdout)
	if o.code != 0 || played.Step != 250 || played.Mean > 0 || played.Mean < -2000 {
		t.Errorf("%+v", o)
	}
	// No environment has been seen yet, so nothing says what its actions' bounds are.
	exported := filepath.Join(dir, "policy.onnx")
	if o := finish(t, steinInGo("export", run, "--out", exported)); o.code != 0 || strings.Count(o.stderr, "bounds") != 1 {
		t.Errorf("%+v", o)
	}
	if meta := metadataOf(t, exported); meta["act_low"] != "" || meta["obs_dim"] != "3" {
		t.Errorf("%v", meta)
	}
	o = finish(t, steinInGo("train", "--resume", run, "--steps", "400", "--log-freq", "50", "--json"))
	if went := decode[trained](t, o.stdout); o.code != 0 || went.Step != 400 {
		t.Errorf("%+v", o)
	}
	if o := finish(t, steinInGo("export", run, "--out", exported)); o.code != 0 || strings.Contains(o.stderr, "bounds") {
		t.Errorf("%+v", o)
	}
	if meta := metadataOf(t, exported); meta["act_high"] != "[2]" {
		t.Errorf("%v: the training has written Pendulum's bounds", meta)
	}
	log := string(must(os.ReadFile(filepath.Join(run, "log.jsonl"))))
	if !strings.Contains(log, `"from_step":250`) {
		t.Errorf("%s", log)
	}
	// 250 are SB3's; the memory filled for 40 steps from 250 on.
	var state struct{ Updates uint64 }
	text := must(os.ReadFile(filepath.Join(run, "checkpoints", "step-000000400", "agent.json")))
	if err := json.Unmarshal(text, &state); err != nil || state.Updates <= 150 || state.Updates > 150+110 {
		t.Errorf("%s, %v", text, err)
	}

	for _, bad := range []struct{ args, want string }{
		{"import " + model, `required flag(s) "config" not set`},
		{"import " + model + " --config pendulum/nac", "did you mean pendulum/sac?"},
		{"import import_test.go --config pendulum/sac", "import_test.go: sb3: not a model file of Stable-Baselines3"},
		{"import nowhere.zip --config pendulum/sac", "no such file"},
		{"import " + model + " --config pendulum/sac --set policy.hidden=[9] --run-dir " + filepath.Join(dir, "bad"), "weights for /policy/gaussian/hidden_0"},
	} {
		o := finish(t, steinInGo(strings.Fields(bad.args)...))
		if o.code == 0 || !strings.Contains(o.stderr, bad.want) {
			t.Errorf("stein %s: %+v, want %s", bad.args, o, bad.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "bad")); !os.IsNotExist(err) {
		t.Errorf("a refused import left a folder: %v", err)
	}
}
