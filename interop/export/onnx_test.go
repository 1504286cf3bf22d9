package export_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/agents/sac"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/internal/python"
	"github.com/stein-rl/stein/interop/export"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/replay/normalize"
)

// Ensure that onnxruntime agrees with Stein for every kind of policy that can be
// exported: greedy actions, random actions and their densities.
func TestONNXRuntime(t *testing.T) {
	const obsDim, actDim, rows = 3, 2, 20
	gaussian := policies.NewGaussian()
	gaussian.Network = nn.Network{Hidden: []int{16, 8}, Activation: "elu"}
	flow := policies.NewFlow()
	flow.Network = nn.Network{Hidden: []int{16}, Activation: "relu"}
	flow.Layers, flow.Width, flow.Context, flow.Act = 2, 8, 4, "mean"
	batch := policies.NewGaussian()
	batch.Network = nn.Network{Hidden: []int{16, 8}, Activation: "relu", Norm: "batch"}
	moments := &normalize.Moments{Mean: []float64{1234567.89, -2, 0.5}, Var: []float64{2500, 0.25, 1}, Count: 10}
	rng := rand.New(rand.NewPCG(1, 2))
	for name, p := range map[string]export.Policy{
		"gaussian, normalised": {Kind: gaussian, Obs: moments, Clip: 5},
		"flow":                 {Kind: flow},
		"gaussian, batch":      {Kind: batch},
	} {
		cfg := sac.Defaults()
		cfg.Critic.Hidden = []int{8}
		if name == "gaussian, batch" {
			cfg.PolicyAverage = 0.9 // the average is what is exported
		}
		s, err := sac.New(cfg, agents.Task{
			Backend: enginetest.Backend(t), Policy: p.Kind, Spec: envbridge.Spec{ID: "test", Copies: 1, ObsDim: obsDim, ActDim: actDim}, Seed: 3, Use: agents.ToAct,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stir(t, rng, s)
		oracle, err := s.Oracle([]int{rows})
		if err != nil {
			t.Fatal(err)
		}
		defer oracle.Close()

		raw, seen := make([]float32, rows*obsDim), make([]float32, rows*obsDim) // inputs of the model, and of the networks
		for i := range raw {
			raw[i] = float32(rng.NormFloat64())
			seen[i] = raw[i]
			if p.Obs != nil {
				d := i % obsDim
				raw[i] = float32(p.Obs.Mean[d] + 3*math.Sqrt(p.Obs.Var[d])*float64(raw[i])) // sometimes beyond the clip
				x := (float64(raw[i]) - p.Obs.Mean[d]) / math.Sqrt(p.Obs.Var[d]+1e-8)
				seen[i] = float32(min(max(x, -p.Clip), p.Clip))
			}
		}
		best, err := oracle.Ask(seen, true, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		drawn, err := oracle.Ask(seen, false, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		if p.Weights, err = export.Weights(s); err != nil {
			t.Fatal(err)
		}
		p.ObsDim, p.ActDim = obsDim, actDim
		var model bytes.Buffer
		if err := export.WriteONNX(&model, p, nil); err != nil {
			t.Fatal(err)
		}
		got := inPython(t, model.Bytes(), map[string]any{
			"observations": table(raw, obsDim), "best": table(best.Action, actDim), "drawn": table(drawn.Action, actDim), "log_prob": drawn.LogProb,
		})
		t.Logf("%s: %+v", name, got)
		// The log-density at an action near ±1 has large derivatives.
		if got.Best > 1e-5 || got.Drawn > 1e-5 || got.LogProb > 1e-3 {
			t.Errorf("%s: onnxruntime is off by %+v", name, got)
		}
	}
}

// stir changes the averaged policy and all normalisation statistics from their initial
// values.
func stir(t *testing.T, rng *rand.Rand, s *sac.Learner) {
	t.Helper()
	for v := range s.Store().IterVariables() {
		if !strings.Contains(v.Path(), "/norm/") && !strings.HasPrefix(v.Path(), "/average/") {
			continue
		}
		x := tensors.MustCopyFlatData[float32](v.MustValue())
		for i := range x {
			x[i] = float32(math.Abs(float64(x[i]) + 0.1*rng.NormFloat64()))
			if rng.Float64() < 0.5 && v.Name() != "running_variance" {
				x[i] = -x[i]
			}
		}
		if err := v.SetValue(tensors.FromFlatDataAndDimensions(x, v.Shape().Dimensions...)); err != nil {
			t.Fatal(err)
		}
	}
}

func table(x []float32, width int) (rows [][]float32) {
	for ; len(x) > 0; x = x[width:] {
		rows = append(rows, x[:width])
	}
	return rows
}

// distances are the largest differences between onnxruntime and Stein.
type distances struct {
	Best, Drawn float64
	LogProb     float64 `json:"log_prob"`
}

func inPython(t *testing.T, model []byte, questions map[string]any) (d distances) {
	t.Helper()
	python, err := python.Find("")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "policy.onnx")
	if err := os.WriteFile(file, model, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(python, "testdata/onnx.py", file)
	c.Stdin = bytes.NewReader(in)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err == nil {
		err = json.Unmarshal(out, &d)
	}
	if err != nil {
		t.Fatalf("%v, %s%s", err, out, errs.String())
	}
	return d
}

// Ensure that onnxruntime computes the same energies as Stein, for every form of the
// network and any number of images.
func TestEnergyONNX(t *testing.T) {
	python, err := python.Find("")
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]ebm.Energy{
		"conv":               {Kind: "conv", Channels: []int{3, 4}, Blocks: 1, Patch: 2},
		"conv, hidden layer": {Kind: "conv", Channels: []int{3}, Blocks: 2, Patch: 1, Hidden: 5},
		"residual, spectral": {Kind: "residual", Channels: []int{3, 4}, Blocks: 1, Patch: 1, Spectral: true},
	} {
		cfg, err := experiments.ResolveImages("langevin", "", []string{"model.chains.size=0", "model.particles=4"})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Model.Energy = e
		m, err := ebm.NewSampler(enginetest.Backend(t), cfg.Model, ebm.Shape{Height: 8, Width: 8, Channels: 3}, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		layers, err := m.Layers()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "f.onnx")
		var model bytes.Buffer
		if err := export.WriteEnergyONNX(&model, layers, map[string]string{"kind": "energy"}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, model.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		const rows, size = 5, 8 * 8 * 3
		rng := rand.New(rand.NewPCG(3, 4))
		x := make([]float32, rows*size)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		want, err := m.Energies(x)
		if err != nil {
			t.Fatal(err)
		}
		in, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(python, "-c", `
import json, sys, numpy, onnxruntime
f = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
x = numpy.array(json.load(sys.stdin), numpy.float32).reshape(-1, 8, 8, 3)
print(json.dumps(f.run(["energy"], {"images": x})[0].tolist()))`, file)
		c.Stdin = bytes.NewReader(in)
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []float64
		if err := json.Unmarshal(out, &got); err != nil || len(got) != rows {
			t.Fatalf("%s: %s, %v", name, out, err)
		}
		for i := range got {
			if math.Abs(got[i]-want[i]) > 1e-4*(1+math.Abs(want[i])) {
				t.Errorf("%s: image %d has energy %g in onnxruntime, %g in Stein", name, i, got[i], want[i])
			}
		}
	}
}
