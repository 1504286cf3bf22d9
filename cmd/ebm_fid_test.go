package cmd_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/fid"
	"github.com/stein-rl/stein/internal/picture"
	"github.com/stein-rl/stein/internal/python"
	"github.com/stein-rl/stein/serve/client"
)

// Ensure that a folder of images is compared with a data set, that the result names the
// distance, and that missing flags are usage errors.
func TestEBMFID(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a feature network")
	}
	t.Chdir("..") // where .venv is
	const fashion = "images/dataset/testdata/fashion-mnist"
	m, err := dataset.Open(t.Context(), dataset.Source{Name: "fashion-mnist", Path: fashion, Split: "test"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, name := range []string{"a.png", "b.png", "c.png", "d.png"} {
		data, err := picture.EncodePNG(m.Picture(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := run(t, "ebm", "fid", dir, "--data", "fashion-mnist", "--data-path", fashion,
		"--split", "test", "--reference", "4", "--no-cache", "--json")
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	var report fid.Score
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	// The same four images: only rounding errors remain.
	if report.Metric != "FD-E0" || report.N != 4 || report.Reference != 4 || report.Frechet > 1e-3 || report.Frechet < -1e-3 {
		t.Errorf("%+v", report)
	}
	for _, args := range [][]string{{"ebm", "fid", dir}, {"ebm", "fid", dir, "--data", "fashion-mnist", "--n", "1"}} {
		if code, _, stderr := run(t, args...); code != 2 || !strings.Contains(stderr, "--") {
			t.Errorf("%v: code %d, %s", args, code, stderr)
		}
	}
}

// Ensure that samples of a run are compared with the run's training images, and that equal
// seeds give equal samples.
func TestEBMFIDOfRun(t *testing.T) {
	if testing.Short() {
		t.Skip("trains an image model")
	}
	t.Chdir("..") // where .venv is
	dir := filepath.Join(t.TempDir(), "run")
	code, _, stderr := run(t, "ebm", "train", "--config", "langevin", "--run-dir", dir, "--seed", "3",
		"--set", "data={name: fashion-mnist, path: images/dataset/testdata/fashion-mnist, size: 8}",
		"--set", "model.energy={channels: [4], patch: 2}", "--set", "model.sampler.steps=1",
		"--set", "model={particles: 4, batch_size: 4, chains: {size: 8}}",
		"--set", "eval={extractor: none, every: 0, samples: 4, pictures: 0}", "--set", "updates=2")
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	type report struct {
		fid.Score
		Controls []experiments.ScoreRow
	}
	measured := func(more ...string) (score report) {
		args := []string{"ebm", "fid", dir, "--n", "6", "--reference", "6", "--seed", "18446744073709551615", "--no-cache", "--json"}
		code, stdout, stderr := run(t, append(args, more...)...)
		if code != 0 {
			t.Fatalf("code %d: %s", code, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), &score); err != nil {
			t.Fatal(err)
		}
		return score
	}
	one := measured()
	if one.Metric != "FD-E0" || one.N != 6 || one.Reference != 6 || !(one.Frechet > 1) {
		t.Errorf("%+v: want a distance of six samples of an untrained model from six images", one)
	}
	// The controls include the start, and --start measures the same.
	names := map[string]float64{}
	for _, c := range one.Controls {
		names[c.Name] = c.Frechet
	}
	if len(names) != 4 || names["start alone"] == one.Frechet || !(names["noise"] > names["held-out pictures"]) {
		t.Errorf("controls: %v", names)
	}
	again := measured("--controls=false")
	if again.Frechet != one.Frechet || again.Controls != nil {
		t.Errorf("the same seed is %g away, and then %g; controls %v", one.Frechet, again.Frechet, again.Controls)
	}
	if start := measured("--start", "--controls=false"); start.Frechet != names["start alone"] {
		t.Errorf("--start is %g away, the row %g", start.Frechet, names["start alone"])
	}
}

// Ensure that a folder of fewer images than are drawn at an evaluation is trained on.
func TestEBMOfFewImages(t *testing.T) {
	if testing.Short() {
		t.Skip("trains an image model")
	}
	t.Chdir("..") // where .venv is
	m, err := dataset.Open(t.Context(), dataset.Source{Name: "fashion-mnist", Path: "images/dataset/testdata/fashion-mnist"})
	if err != nil {
		t.Fatal(err)
	}
	images := t.TempDir()
	for i, name := range []string{"a.png", "b.png"} {
		data, err := picture.EncodePNG(m.Picture(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(images, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "run")
	code, _, stderr := run(t, "ebm", "train", "--config", "langevin", "--run-dir", dir, "--seed", "3",
		"--set", "data={name: folder, path: "+images+", size: 8}",
		"--set", "model.energy={channels: [4], patch: 2}", "--set", "model.sampler.steps=1",
		"--set", "model={particles: 4, batch_size: 4, chains: {size: 8}}",
		"--set", "eval={extractor: none, every: 0, samples: 4, pictures: 8}", "--set", "updates=1")
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	// The commands of agents say what it is, and from elsewhere, where its images are.
	for _, args := range [][]string{{"eval", dir}, {"train", "--resume", dir}} {
		if code, _, stderr := run(t, args...); code == 0 || !strings.Contains(stderr, "is the run of an image model: use stein ebm") {
			t.Errorf("%v: code %d, %s", args, code, stderr)
		}
	}
	if code, _, stderr := run(t, "ebm", "sample", dir, "--set", "data.path=gone"); code != 1 || !strings.Contains(stderr, "data.path is relative to the working directory") {
		t.Errorf("code %d, %s", code, stderr)
	}
	agent := filepath.Join(t.TempDir(), "agent")
	aRun(t, agent)
	if code, _, stderr := run(t, "ebm", "sample", agent); code != 1 || !strings.Contains(stderr, "is the run of an agent, not of an image model: use stein eval") {
		t.Errorf("code %d, %s", code, stderr)
	}
	for _, name := range []string{"energies-00000001.png", "neighbours.png"} {
		if _, err := os.Stat(filepath.Join(dir, "pictures", name)); err != nil {
			t.Error(err)
		}
	}
}

// Ensure that a run's model scores images and compares sets in the table, the file and
// JSON, restores images into a grid, and is exported, and that wrong flags are usage
// errors.
func TestEBMUse(t *testing.T) {
	if testing.Short() {
		t.Skip("trains an image model")
	}
	t.Chdir("..") // where .venv is
	const fashion = "fashion-mnist/test=images/dataset/testdata/fashion-mnist"
	out := t.TempDir()
	dir := filepath.Join(out, "run")
	do := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := run(t, args...)
		if code != 0 {
			t.Fatalf("%v: code %d: %s", args, code, stderr)
		}
		return stdout
	}
	do("ebm", "train", "--config", "langevin", "--run-dir", dir, "--seed", "3",
		"--set", "data={name: fashion-mnist, path: images/dataset/testdata/fashion-mnist, size: 8}",
		"--set", "model.energy={channels: [4], patch: 2}", "--set", "model.sampler.steps=1",
		"--set", "model={particles: 4, batch_size: 4, chains: {size: 8}}",
		"--set", "eval={extractor: none, every: 0, samples: 4, pictures: 0}", "--set", "updates=2")
	table := filepath.Join(out, "energies.csv")
	var reports []struct {
		N     int
		AUROC *float64
		F     []float64
		Ranks []int
	}
	text := do("ebm", "score", dir, fashion, "--n", "9", "--against", "turned", "--against", fashion, "--out", table, "--json")
	if err := json.Unmarshal([]byte(text), &reports); err != nil {
		t.Fatal(err)
	}
	if len(reports) != 3 || reports[0].AUROC != nil || len(reports[1].F) != 9 || *reports[2].AUROC != 0.5 {
		t.Errorf("%+v: want nine images, the same turned, and the same again", reports)
	}
	// Without IMAGES: the ten held-out images, against each modification. Seeds go up to
	// 2^64-1, as elsewhere.
	text = do("ebm", "score", dir, "--against", "turned", "--against", "blurred", "--against", "noisy", "--seed", "18446744073709551615", "--json")
	var own []struct {
		Images string
		AUROC  *float64
		F      []float64
	}
	if err := json.Unmarshal([]byte(text), &own); err != nil {
		t.Fatal(err)
	}
	if len(own) != 4 || own[0].F[0] != reports[0].F[0] {
		t.Fatalf("%+v", own)
	}
	for i, how := range []string{"turned", "blurred", "noisy"} {
		r := own[1+i]
		if !strings.HasSuffix(r.Images, how) || r.AUROC == nil || *r.AUROC != experiments.AUROC(own[0].F, r.F) || slices.Equal(r.F, own[0].F) {
			t.Errorf("%s: %+v", how, r)
		}
	}
	if code, _, stderr := run(t, "ebm", "score", dir, "--against", "turnd"); code == 0 || !strings.Contains(stderr, "turnd") {
		t.Errorf("code %d, %s", code, stderr)
	}
	do("ebm", "sample", dir, "--n", "1", "--seed", "18446744073709551615", "--out", filepath.Join(out, "one.png"))
	do("ebm", "restore", dir, "--n", "1", "--rounds", "1", "--noise", "0.1", "--seed", "18446744073709551615", "--out", filepath.Join(out, "one.png"), fashion)
	if code, _, stderr := run(t, "ebm", "sample", dir, "--seed", "-1"); code != 2 || !strings.Contains(stderr, "seed") {
		t.Errorf("code %d, %s", code, stderr)
	}
	wantServedEnergies(t, dir, reports[0].F)
	best := 0
	for i, f := range reports[0].F {
		if f > reports[0].F[best] {
			best = i
		}
	}
	if reports[0].Ranks[best] != 1 {
		t.Errorf("image %d has the largest f and rank %d", best, reports[0].Ranks[best])
	}
	lines, err := os.ReadFile(table)
	if err != nil || strings.Count(string(lines), "\n") != 1+3*9 {
		t.Errorf("%s, %v", lines, err)
	}
	grid := filepath.Join(out, "grid.png")
	text = do("ebm", "restore", dir, fashion, "--n", "3", "--mask", "left", "--rounds", "2", "--zoom", "1", "--out", grid)
	if _, err := os.Stat(grid); err != nil || !strings.Contains(text, "mean squared error") {
		t.Errorf("%q, %v", text, err)
	}
	model := filepath.Join(out, "F.ONNX")
	do("export", dir, "--out", model)
	if info, err := os.Stat(model); err != nil || info.Size() < 1000 {
		t.Errorf("%v, %v", info, err)
	}
	for _, args := range [][]string{
		{"ebm", "restore", dir, fashion}, {"ebm", "restore", dir, fashion, "--noise", "-1"}, {"ebm", "score", dir, fashion, "--n", "-1"},
		{"export", dir, "--out", "f.safetensors"},
	} {
		if code, _, stderr := run(t, args...); code != 2 {
			t.Errorf("%v: code %d, %s", args, code, stderr)
		}
	}
}

// wantServedEnergies serves a run whose model has images of 8×8 and asks for f of the
// first test images, as pixels and as files, from Go and from Python.
func wantServedEnergies(t *testing.T, dir string, want []float64) {
	t.Helper()
	whole, err := dataset.Open(t.Context(), dataset.Source{Name: "fashion-mnist", Path: "images/dataset/testdata/fashion-mnist", Split: "test"})
	if err != nil {
		t.Fatal(err)
	}
	whole = whole.Slice(0, len(want))
	small, err := whole.As(8, 1)
	if err != nil {
		t.Fatal(err)
	}
	var files [][]byte
	for i := range want {
		data, err := picture.EncodePNG(whole.Picture(i))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	server := stein("serve", "shirts="+dir, "--listen", "127.0.0.1:0", "--reload", "50ms")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, server)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(strings.TrimPrefix(line, "serving at "))
	c, err := client.Dial(address, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	near := func(got []float64) bool {
		return slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) <= 1e-5*(1+math.Abs(b)) })
	}
	for how, images := range map[string]client.Images{
		"pixels": {Pixels: small.Pixels}, "files": {Files: files},
		"both": {Pixels: small.Pixels[:2*8*8], Files: files[2:]},
	} {
		if f, update, err := c.Score(t.Context(), images, "shirts"); err != nil || update != 2 || !near(f) {
			t.Errorf("%s: %v of update %d, %v; stein ebm score says %v", how, f, update, err, want)
		}
	}
	if all, err := c.Models(t.Context(), ""); err != nil || len(all) != 1 || all[0].Height != 8 || all[0].Channels != 1 || all[0].Data != "fashion-mnist" {
		t.Errorf("%v, %v", all, err)
	}
	for name, bad := range map[string]struct {
		images client.Images
		model  string
		code   codes.Code
	}{
		"cut":     {client.Images{Pixels: small.Pixels[:63]}, "", codes.InvalidArgument},
		"nothing": {client.Images{}, "", codes.InvalidArgument},
		"no PNG":  {client.Images{Files: [][]byte{[]byte("GIF89a")}}, "", codes.InvalidArgument},
		"unknown": {client.Images{Files: files}, "skirts", codes.NotFound},
		"many":    {client.Images{Pixels: make([]byte, 64*5000)}, "", codes.InvalidArgument},
	} {
		if _, _, err := c.Score(t.Context(), bad.images, bad.model); status.Code(err) != bad.code {
			t.Errorf("%s: %v, want %v", name, err, bad.code)
		}
	}
	if _, err := c.Act(t.Context(), []float32{1}, client.Ask{}); status.Code(err) != codes.NotFound {
		t.Errorf("actions of a server without policies: %v", err)
	}
	python := exec.Command(must(python.Find("")), "-c", `
import json, sys, numpy
from stein_env.client import Client
pixels = numpy.frombuffer(sys.stdin.buffer.read(), numpy.uint8).reshape(-1, 8, 8, 1)
with Client(sys.argv[1]) as server:
    print(json.dumps([server.score(pixels).tolist(), server.models()[0].width]))`, address)
	python.Env, python.Stdin = append(os.Environ(), "PYTHONPATH=python_env"), bytes.NewReader(small.Pixels)
	text, err := python.Output()
	var answer struct {
		f     []float64
		width int
	}
	if err == nil {
		err = json.Unmarshal(text, &[]any{&answer.f, &answer.width})
	}
	if err != nil || !near(answer.f) || answer.width != 8 {
		t.Errorf("the Python client has %s, %v", text, err)
	}
	// After more training, the server answers from the new checkpoint.
	if code, _, stderr := run(t, "ebm", "train", "--resume", dir, "--updates", "3"); code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		f, update, err := c.Score(t.Context(), client.Images{Pixels: small.Pixels}, "")
		if err != nil || time.Now().After(end) {
			t.Fatalf("update %d: %v", update, err)
		}
		if update == 3 {
			if slices.Equal(f, want) {
				t.Error("update 3 has the energies of update 2")
			}
			return
		}
	}
}
