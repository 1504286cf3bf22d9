package sb3_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stein-rl/stein/agents"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/interop/sb3"
)

// golden is what Stable-Baselines3 did with the models (testdata/make.py).
type golden struct {
	Observations, Actions [][]float32
	Q                     [][]float32
	TargetQ               [][]float32 `json:"target_q"`
	Updates               uint64
}

func goldens(t testing.TB) (all map[string]golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func load(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".zip")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(data []byte) (*sb3.Model, error) { return sb3.Read(bytes.NewReader(data), int64(len(data))) }

// A learnerOfSAC is what these tests ask of soft actor-critic.
type learnerOfSAC interface {
	agents.Learner
	SetWeights(map[string]*tensors.Tensor) error
	Portrait(obs []float32, times int, actions []float32) (agents.Portrait, error)
}

// learner is the imported agent.
func learner(t *testing.T, m *sb3.Model) learnerOfSAC {
	t.Helper()
	cfg, err := experiments.Builtin().Resolve("pendulum/sac", append(m.Assignments(), "seed=1"))
	if err != nil {
		t.Fatal(err)
	}
	spec := envbridge.Spec{ID: "Pendulum-v1", Copies: 1, ObsDim: m.ObsDim, ActDim: m.ActDim}
	made, err := cfg.Agent.Value.Make(agents.Task{Backend: enginetest.Backend(t), Spec: spec, Policy: cfg.Policy.Value, Seed: 1, Use: agents.ToAct})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.Close)
	s := made.(learnerOfSAC)
	values := map[string]*tensors.Tensor{}
	for name, w := range m.Weights {
		values[name] = tensors.FromFlatDataAndDimensions(w.Data, w.Shape...)
	}
	if err := s.SetWeights(values); err != nil {
		t.Fatal(err)
	}
	return s
}

func distance(a, b []float32) (most float64) {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	for i := range a {
		most = max(most, math.Abs(float64(a[i]-b[i])))
	}
	return most
}

// Ensure that an imported agent does what Stable-Baselines3 does and values it alike,
// at observations of the real environment.
func TestEqualActions(t *testing.T) {
	for name, want := range goldens(t) {
		m, err := read(load(t, name))
		if err != nil {
			t.Fatal(name, err)
		}
		s := learner(t, m)
		obs, actions := slices.Concat(want.Observations...), slices.Concat(want.Actions...)
		got, err := s.Act(obs, true)
		if err != nil {
			t.Fatal(err)
		}
		if d := distance(got, actions); d > 1e-5 {
			t.Errorf("%s: actions differ by %g", name, d)
		}
		// Portrait has the smaller of the two values.
		for i, row := range want.Observations {
			p, err := s.Portrait(row, 1, want.Actions[i])
			if err != nil {
				t.Fatal(err)
			}
			if q := min(want.Q[0][i], want.Q[1][i]); distance(p.Value, []float32{q}) > 1e-4 {
				t.Errorf("%s: value %v, want %g", name, p.Value, q)
			}
		}
		// The targets have names and places of their own.
		for path, w := range m.Weights {
			if target, ok := strings.CutPrefix(path, "/target"); ok && slices.Equal(w.Data, m.Weights["/critic"+target].Data) {
				t.Errorf("%s: %s is the critic's", name, path)
			}
		}
	}
}

// Ensure that settings that both have are taken over, and that a schedule is not
// taken for a number.
func TestSettings(t *testing.T) {
	relu, err := read(load(t, "relu"))
	if err != nil {
		t.Fatal(err)
	}
	tanh, err := read(load(t, "tanh"))
	if err != nil {
		t.Fatal(err)
	}
	if s := relu.Settings; s.Steps != 250 || s.Updates != goldens(t)["relu"].Updates || *s.Gamma != 0.98 || *s.BatchSize != 256 ||
		*s.TargetEntropy != -1 || s.LearningRate != nil || s.Alpha != nil {
		t.Errorf("%+v", s)
	}
	if s := tanh.Settings; *s.LearningRate != 2e-3 || *s.Alpha != 0.2 || *s.Tau != 0.005 || *s.BatchSize != 32 {
		t.Errorf("%+v", s)
	}
	if !slices.Equal(tanh.Critic.Hidden, []int{7, 5, 4}) || !slices.Equal(tanh.Policy.Hidden, []int{6}) || tanh.Policy.Activation != "tanh" {
		t.Errorf("%+v, %+v", tanh.Policy, tanh.Critic)
	}
	if log := float64(tanh.Weights["/alpha/log_alpha"].Data[0]); math.Abs(log-math.Log(0.2)) > 1e-6 {
		t.Errorf("log α %g", log)
	}
}

// rewrite is an archive with one file changed, or left out where the change gives nil.
func rewrite(t *testing.T, data []byte, name string, change func([]byte) []byte) []byte {
	t.Helper()
	from, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	to := zip.NewWriter(&out)
	for _, f := range from.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name == name {
			if text = change(text); text == nil {
				continue
			}
		}
		w, err := to.CreateHeader(&zip.FileHeader{Name: f.Name})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(text)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// inside changes a file of the archive that policy.pth is.
func inside(t *testing.T, name string, change func([]byte) []byte) func([]byte) []byte {
	return func(pth []byte) []byte { return rewrite(t, pth, name, change) }
}

// swap replaces text of the same length, so that a pickle stays one.
func swap(old, now string) func([]byte) []byte {
	return func(text []byte) []byte { return bytes.ReplaceAll(text, []byte(old), []byte(now)) }
}

// marked sets a byte in the header of every file of an archive, at is its place in the
// local header. The one in the archive's directory is two bytes further.
func marked(archive []byte, at int, value byte) []byte {
	archive = bytes.Clone(archive)
	for start, place := range map[string]int{"PK\x03\x04": at, "PK\x01\x02": at + 2} {
		for i := range archive {
			if bytes.HasPrefix(archive[i:], []byte(start)) {
				archive[i+place] = value
			}
		}
	}
	return archive
}

// Ensure that what can't be imported is refused for what it is, and that nothing in a
// file is executed.
func TestRefusals(t *testing.T) {
	data := load(t, "relu")
	const pth = "policy.pth"
	nothing := func([]byte) []byte { return nil }
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"no zip":           {[]byte("PK no"), "not a model file of Stable-Baselines3"},
		"truncated":        {data[:len(data)/2], "not a model file of Stable-Baselines3"},
		"no weights":       {rewrite(t, data, pth, nothing), "missing policy.pth"},
		"no temperature":   {rewrite(t, data, "pytorch_variables.pth", nothing), "missing pytorch_variables.pth"},
		"no settings":      {rewrite(t, data, "data", swap(`"verbose"`, `"verb`)), "data: not JSON at byte"},
		"no kwargs":        {rewrite(t, data, "data", swap(`"policy_kwargs"`, `"policy_ideas"`)), "data: policy_kwargs is missing"},
		"settings of text": {rewrite(t, data, "data", func([]byte) []byte { return []byte(`"x"`) }), "data: want an object, got text"},
		"bzip2":            {marked(data, 8, 12), "data: zip: unsupported compression"},
		"encrypted":        {marked(data, 6, 1), "data is encrypted"},
		"activation":       {rewrite(t, data, "data", swap(`"use_sde": false`, `"activation_fn": "<class 'x.Y'>"`)), "want ReLU"},
		"no pth":           {rewrite(t, data, pth, func([]byte) []byte { return []byte("torch") }), "not a file of torch.save"},
		"short pth":        {rewrite(t, data, pth, func(b []byte) []byte { return b[:9000] }), "not a file of torch.save"},
		"no pickle":        {rewrite(t, data, pth, inside(t, "archive/data.pkl", nothing)), "data.pkl is missing"},
		"half a pickle":    {rewrite(t, data, pth, inside(t, "archive/data.pkl", func(b []byte) []byte { return b[:len(b)/2] })), "data.pkl"},
		"no numbers":       {rewrite(t, data, pth, inside(t, "archive/data/3", nothing)), "data/3 is missing"},
		"few numbers":      {rewrite(t, data, pth, inside(t, "archive/data/3", func(b []byte) []byte { return b[:8] })), "storage 3 has 8 bytes, want 8 numbers"},
		"a foreign class":  {rewrite(t, data, pth, inside(t, "archive/data.pkl", swap("torch\nFloatStorage", "posix\nsystemcalls_"))), "class posix.systemcalls_ is not allowed"},
		"a huge text":      {rewrite(t, data, pth, inside(t, "archive/data.pkl", func([]byte) []byte { return []byte("\x80\x02X\xff\xff\xff\xff.") })), "want 4294967299"},
		"a huge frame":     {rewrite(t, data, pth, inside(t, "archive/data.pkl", func([]byte) []byte { return []byte("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.") })), "operation 0x95 at 2 is not allowed"},
		"an extractor":     {rewrite(t, data, pth, inside(t, "archive/data.pkl", swap("critic.qf1.4.bias", "critic.cnn.4.bias"))), "layer critic.qf1.4 has weights"},
		"more weights":     {rewrite(t, data, pth, inside(t, "archive/data.pkl", swap("actor.latent_pi.2.", "actor.latent_pi.8."))), "unsupported weights"},
		"no actor":         {rewrite(t, data, pth, inside(t, "archive/data.pkl", swap("actor.mu.", "actor.xy."))), "missing SAC actor"},
		"not a number":     {rewrite(t, data, pth, inside(t, "archive/data/0", func(b []byte) []byte { return bytes.Repeat([]byte{0xff}, len(b)) })), "NaN"},
		"another order":    {rewrite(t, data, pth, inside(t, "archive/byteorder", func([]byte) []byte { return []byte("big") })), `order "big"`},
		"a shape too many": {rewrite(t, data, pth, inside(t, "archive/data.pkl", swap("K\x08K\x03\x86", "K\xffK\xff\x86"))), "its storage of 24 numbers"},
	} {
		m, err := read(c.data)
		if err == nil || m != nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "sb3: ") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// FuzzRead: whatever the bytes, there is an error or a model that is whole.
func FuzzRead(f *testing.F) {
	f.Add(load(f, "relu"))
	f.Add(load(f, "tanh"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := read(data)
		if err != nil {
			return
		}
		for name, w := range m.Weights {
			n := 1
			for _, size := range w.Shape {
				n *= size
			}
			if n != len(w.Data) {
				t.Errorf("%s: %d numbers of shape %v", name, len(w.Data), w.Shape)
			}
		}
	})
}
