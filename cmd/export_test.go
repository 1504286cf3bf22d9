package cmd_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stein-rl/stein/internal/python"
)

// Ensure that a run's weights are read by Python's safetensors under their names, and
// that its policy is written as ONNX.
func TestExport(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in a process of its own")
	}
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	if o := train(t, run, "--steps", "60", "--eval-freq", "0", "--eval-episodes", "1"); o.code != 0 {
		t.Fatalf("code %d, %s", o.code, o.stderr)
	}
	file := filepath.Join(dir, "weights.safetensors")
	if o := finish(t, stein("export", run, "--out", file)); o.code != 0 || o.stdout != file+"\n" {
		t.Fatalf("%+v", o)
	}
	python := must(python.Find(""))
	text, err := exec.Command(python, "-c", `
import sys
from safetensors import safe_open
with safe_open(sys.argv[1], "np") as f:
    print(f.metadata()["env"], f.metadata()["step"])
    for name in ("policy.gaussian.hidden_0.weights", "critic.q1.of_action.weights", "target.q0.of_obs.biases", "alpha.log_alpha"):
        print(name, f.get_tensor(name).shape)
    print([name for name in f.keys() if "adam" in name.lower() or "moment" in name.lower()])
`, file).CombinedOutput()
	want := `Pendulum-v1 60
policy.gaussian.hidden_0.weights (3, 16)
critic.q1.of_action.weights (1, 16)
target.q0.of_obs.biases (16,)
alpha.log_alpha ()
[]
`
	if err != nil || string(text) != want {
		t.Errorf("%v, %s\nwant\n%s", err, text, want)
	}
	model := filepath.Join(dir, "policy.onnx")
	if o := finish(t, stein("export", run, "--out", model)); o.code != 0 {
		t.Errorf("%+v", o)
	}
	if data, err := os.ReadFile(model); err != nil || !strings.Contains(string(data), "observation") {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	// Only files are written, and a link stays one.
	link := filepath.Join(dir, "link.onnx")
	if err := errors.Join(os.Symlink("policy.onnx", link), syscall.Mkfifo(filepath.Join(dir, "pipe.onnx"), 0o644), os.Mkdir(filepath.Join(dir, "folder.onnx"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"pipe.onnx": "a named pipe, want a file", "folder.onnx": "a folder, want a file", "none/x.onnx": "cannot write into folder"} {
		if o := finish(t, stein("export", run, "--out", filepath.Join(dir, name))); o.code != 2 || !strings.Contains(o.stderr, want) {
			t.Errorf("%s: %+v, want %q", name, o, want)
		}
	}
	if o := finish(t, stein("export", run, "--out", link)); o.code != 0 {
		t.Errorf("%+v", o)
	}
	if to, err := os.Readlink(link); err != nil || to != "policy.onnx" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if o := finish(t, stein("export", run, "--checkpoint", "lst", "--out", model)); o.code != 2 || !strings.Contains(o.stderr, "want last, best or a step") {
		t.Errorf("%+v", o)
	}
	// In the run's own folder, the file has the folder's name.
	inside := stein("export", ".")
	inside.Dir = run
	if o := finish(t, inside); o.code != 0 || o.stdout != "run.safetensors\n" {
		t.Errorf("%+v", o)
	}
	// Pendulum's torques are from -2 to 2, and its observation has three numbers.
	meta := metadataOf(t, model)
	for key, want := range map[string]string{"act_low": "[-2]", "act_high": "[2]", "obs_name": "observation", "obs_shape": "[3]", "obs_dim": "3", "act_shape": "[1]"} {
		if meta[key] != want {
			t.Errorf("the model's metadata have %s = %q, want %s", key, meta[key], want)
		}
	}
	wantLine(t, finish(t, stein("export", run, "--out", "x.txt")), 2, "want safetensors, onnx or run")

	model = filepath.Join(dir, "model")
	if o := finish(t, stein("export", run, "--format", "run", "--out", model)); o.code != 0 || o.stdout != model+" (step 60)\n" {
		t.Fatalf("%+v", o)
	}
	evaluate := func(run string) string {
		o := finish(t, stein("eval", run, "--episodes", "2", "--seed", "7", "--json"))
		if o.code != 0 {
			t.Fatalf("%s: %+v", run, o)
		}
		return strings.ReplaceAll(o.stdout, run, "RUN")
	}
	if before, after := evaluate(run), evaluate(model); before != after {
		t.Errorf("the run evaluates to\n%s, its export to\n%s", before, after)
	}
	wantLine(t, finish(t, stein("train", "--resume", model)), 1, "was exported")
	wantLine(t, finish(t, stein("export", run, "--format", "run", "--out", model)), 1, "not empty")
	testActing(t, run, model, evaluate)
	record := filepath.Join(dir, "record")
	if o := finish(t, stein("export", run, "--format", "run", "--checkpoint", "none", "--out", record)); o.code != 0 || o.stdout != record+"\n" {
		t.Fatalf("%+v", o)
	}
	if left := must(os.ReadDir(filepath.Join(record, "checkpoints"))); len(left) > 0 {
		t.Errorf("a record with checkpoints %v", left)
	}
	data := must(os.ReadFile(filepath.Join(model, "run.json")))
	if strings.Contains(string(data), dir) {
		t.Errorf("paths of this machine: %s", data)
	}
}

// testActing wants what acting needs alone to act as the whole run, and to be refused by
// what needs the rest. whole is the run exported with it.
func testActing(t *testing.T, run, whole string, evaluate func(string) string) {
	t.Helper()
	acting := filepath.Join(filepath.Dir(whole), "acting")
	if o := finish(t, stein("export", run, "--format", "run", "--only", "acting", "--out", acting)); o.code != 0 || o.stdout != acting+" (step 60)\n" {
		t.Fatalf("%+v", o)
	}
	if before, after := evaluate(run), evaluate(acting); before != after {
		t.Errorf("the run evaluates to\n%s, its acting part to\n%s", before, after)
	}
	wantLine(t, finish(t, stein("train", "--resume", acting)), 1, "was exported")
	wantLine(t, finish(t, stein("export", run, "--only", "actors", "--format", "run", "--out", acting+"2")), 2, "want acting")
	wantLine(t, finish(t, stein("export", run, "--only", "acting", "--out", acting+".onnx")), 2, "needs --format run")
	wantLine(t, finish(t, stein("export", run, "--only", "acting", "--format", "run", "--checkpoint", "none", "--out", acting+"2")), 2, "use one of them")
	if o := finish(t, stein("export", acting, "--out", acting+".onnx")); o.code != 0 || !there(acting+".onnx") {
		t.Errorf("%+v", o)
	}
	// A checkpoint that was copied into another run's folder says itself what it lacks.
	info := filepath.Join(acting, "run.json")
	text := strings.Replace(string(must(os.ReadFile(info))), `"exported": true`, `"exported": false`, 1)
	if err := os.WriteFile(info, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	wantLine(t, finish(t, stein("train", "--resume", acting, "--steps", "100")), 1, "was exported with --only acting")
}

// metadataOf reads an ONNX model's metadata as other programs do.
func metadataOf(t *testing.T, model string) map[string]string {
	t.Helper()
	text, err := exec.Command(must(python.Find("")), "-c", `
import json, sys, onnxruntime
model = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
meta = model.get_modelmeta().custom_metadata_map
assert meta.get("obs_name", "observation") in [i.name for i in model.get_inputs()]
print(json.dumps(meta))`, model).Output()
	if err != nil {
		t.Fatal(err)
	}
	return decode[map[string]string](t, string(text))
}
