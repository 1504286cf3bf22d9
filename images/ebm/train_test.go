package ebm

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/sampler"
)

// bars are pictures of a bright column on dark ground.
type bars struct{ side int }

func (b bars) Draw(dst []float32, rng *rand.Rand) {
	size := b.side * b.side
	for at := 0; at < len(dst); at += size {
		column := rng.IntN(b.side)
		for i := range size {
			dst[at+i] = -0.9 + 0.05*float32(rng.NormFloat64())
			if i%b.side == column {
				dst[at+i] = 0.9
			}
		}
	}
}

// tiny are the settings of a model that learns in seconds.
func tiny() Config {
	return Config{
		Objective:   "contrastive",
		Energy:      Energy{Kind: "conv", Channels: []int{4, 8}, Blocks: 1, Patch: 1},
		Temperature: 1, Magnitude: 0.01, Average: 0.9,
		Initial: Initial{Kind: "gaussian", Start: "data", Std: 0.5, StdMin: 0.02, StdMax: 2, Components: 2, Levels: 1, Steps: 1, Hidden: 8},
		Sampler: sampler.Config{
			Algorithm: "svgd", Steps: 2, Bandwidth: sampler.ScaleConfig{Kind: "median"},
			StepSize: sampler.ScaleConfig{Kind: "fixed", Value: 0.1},
		},
		Particles: 6, BatchSize: 6, EnergyLR: 1e-3, SamplerLR: 1e-2, AdamEps: 1e-8, GradClip: 10,
		Diverged: Limits{Spread: 100, Gap: 1e6},
	}
}

type recorded []map[string]float64

func (r *recorded) Record(_ int64, m map[string]float64) error { *r = append(*r, m); return nil }

// trained is a model after some updates on bars, and its records, one an update.
func trained(t *testing.T, cfg Config, updates int64) (*Model, recorded, error) {
	t.Helper()
	m, err := New(enginetest.Compiled(t), cfg, Shape{8, 8, 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	var rec recorded
	l := Loop{Model: m, Pictures: bars{8}, Updates: updates, Seed: 1, Recorder: &rec, Every: 1}
	return m, rec, l.Train(context.Background())
}

// langevin is tiny with chains.
func langevin() Config {
	cfg := tiny()
	cfg.Temperature, cfg.SamplerLR = 0.01, 0
	cfg.Sampler = sampler.Config{Algorithm: "ula", Steps: 2, StepSize: sampler.ScaleConfig{Kind: "fixed", Value: 0.005}}
	cfg.Chains = Chains{Size: 12, Restart: 0.1}
	return cfg
}

func mean(rows recorded, name string) float64 {
	sum := 0.0
	for _, r := range rows {
		sum += r[name]
	}
	return sum / float64(len(rows))
}

// Ensure that an energy comes to tell pictures from noise.
func TestEnergyLearns(t *testing.T) {
	cfg := langevin()
	cfg.EnergyLR = 0.01
	m, _, err := trained(t, cfg, 60)
	if err != nil {
		t.Fatal(err)
	}
	const n = 50
	data, noise := make([]float32, n*64), make([]float32, n*64)
	rng := rand.New(rand.NewPCG(9, 9))
	bars{8}.Draw(data, rng)
	for i := range noise {
		noise[i] = data[rng.IntN(len(data))] // the same values in other places
	}
	ofData, err := m.Energies(data)
	if err != nil {
		t.Fatal(err)
	}
	ofNoise, err := m.Energies(noise)
	if err != nil {
		t.Fatal(err)
	}
	better := 0
	for i := range ofData {
		if ofData[i] > ofNoise[i] {
			better++
		}
	}
	if better < n*3/4 {
		t.Errorf("f of data is above that of shuffled values in %d of %d pairs", better, n)
	}
}

// Ensure that a sampler with a density comes nearer to an energy that stays.
func TestSamplerLearns(t *testing.T) {
	cfg := tiny()
	cfg.EnergyLR = 0
	cfg.Temperature = 0.1
	_, rec, err := trained(t, cfg, 40)
	if err != nil {
		t.Fatal(err)
	}
	first, last := mean(rec[:5], "train/sampler_loss"), mean(rec[35:], "train/sampler_loss")
	if !(last < first-1) { // nats
		t.Errorf("E[log q − f/τ] went from %.2f to %.2f nats", first, last)
	}
}

// Ensure that noise on the data falls by equal factors from its start to its end.
func TestDataNoise(t *testing.T) {
	m := &Model{cfg: Config{DataNoise: 0.05, DataNoiseStart: 0.8}}
	exec := graph.MustNewExec(enginetest.Backend(t), m.dataNoise)
	for progress, want := range map[float32]float64{0: 0.8, 0.5: 0.2, 1: 0.05} {
		got := tensors.ToScalar[float32](exec.MustCall(progress)[0])
		if math.Abs(float64(got)-want) > 1e-4 {
			t.Errorf("at %g of the training: %g, want %g", progress, got, want)
		}
	}
	cfg := tiny()
	cfg.DataNoiseStart = 1
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "data_noise_start") {
		t.Errorf("falling to nothing: %v", err)
	}
}

// Ensure that an update that is not sound changes nothing, and is told as a divergence
// with its cause; and that limits are kept.
func TestDivergence(t *testing.T) {
	cfg := langevin()
	cfg.Sampler.StepSize.Value = 1e38
	m, _, err := trained(t, cfg, 5)
	var diverged *Divergence
	if !errors.As(err, &diverged) || diverged.Update != 0 || diverged.Cause == "" {
		t.Fatalf("steps of 1e38: %v, want a divergence in update 0", err)
	}
	for v := range m.Store().IterVariables() {
		value := v.MustValue()
		if value.DType() != dtypes.Float32 {
			continue
		}
		for _, x := range tensors.MustCopyFlatData[float32](value) {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				t.Fatalf("%s holds %v after an update that was undone", v.Path(), x)
			}
		}
	}
	over := Limits{Spread: 2, Gap: 10}
	for _, figures := range []map[string]float64{{spreadFigure: 2.5}, {gapFigure: -11}} {
		if err := over.check(7, figures); !errors.As(err, &diverged) || diverged.Update != 7 {
			t.Errorf("%v within %+v: %v", figures, over, err)
		}
	}
	if err := over.check(7, map[string]float64{spreadFigure: 1.9, gapFigure: 9}); err != nil {
		t.Error(err)
	}
}

// Ensure that chains go on from where they ended, start anew in their share, are the
// same for the same seed, and come back from a file.
func TestChains(t *testing.T) {
	c := newChains(Chains{Size: 40, Restart: 0.25}, 3)
	places, _, fresh := c.take(1, 0, 40)
	if slices.Contains(fresh, false) {
		t.Error("a chain that has not begun goes on")
	}
	x := make([]float32, 120)
	for i, p := range places {
		for j := range 3 {
			x[3*i+j] = float32(p)
		}
	}
	c.put(places, x)
	anew := 0
	for update := range uint64(100) {
		places, x, fresh := c.take(1, update, 10)
		for i, p := range places {
			if x[3*i] != float32(p) {
				t.Fatalf("chain %d goes on from %v", p, x[3*i])
			}
			if fresh[i] {
				anew++
			}
		}
	}
	if anew < 200 || anew > 300 { // 250 ± 3.6 standard deviations
		t.Errorf("%d of 1000 start anew, want about 250", anew)
	}
	var file bytes.Buffer
	if err := c.save(&file); err != nil {
		t.Fatal(err)
	}
	back := newChains(c.Chains, 3)
	if err := back.load(bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back.x, c.x) || !slices.Equal(back.used, c.used) {
		t.Error("chains came back different")
	}
	if err := back.load(bytes.NewReader(file.Bytes()[:file.Len()-1])); err == nil {
		t.Error("a file that is cut short was taken")
	}
}

// Ensure that groups of alike pictures are found, with their moments.
func TestGroups(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var pictures []float32
	for range 400 {
		centre := float32(1 - 2*rng.IntN(2))
		pictures = append(pictures, centre+0.1*float32(rng.NormFloat64()), centre+0.2*float32(rng.NormFloat64()))
	}
	mean, variance := make([]float32, 4), make([]float32, 4)
	groups(pictures, 2, mean, variance, 1)
	if math.Abs(float64(mean[0]+mean[2])) > 0.1 || math.Abs(math.Abs(float64(mean[0]))-1) > 0.1 {
		t.Errorf("means %v, want ±1", mean)
	}
	for i, want := range []float64{0.01, 0.04, 0.01, 0.04} {
		if got := float64(variance[i]); got < want/2 || got > 2*want {
			t.Errorf("variance %d is %g, want about %g", i, got, want)
		}
	}
}

// Ensure that settings which contradict each other are refused in words.
func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"chains.size":            func(c *Config) { c.Chains.Size = 10 },
		"objective":              func(c *Config) { c.Objective = "likelihood" },
		"std_min":                func(c *Config) { c.Initial.StdMin = 3 },
		"needs a policy's state": func(c *Config) { c.Sampler.Bandwidth.Kind = "network" },
		"needs at least 2":       func(c *Config) { c.Particles = 1; c.Sampler.Trace.Hessian = true },
	} {
		cfg := tiny()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	cfg := tiny()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	cfg.Energy.Patch = 2
	if err := cfg.Check(Shape{7, 7, 1}); err == nil {
		t.Error("pictures of side 7 were folded by 2")
	}
}

// Ensure that what is known of a picture stays, that what is missing becomes more likely
// than where it starts from, and that the same seed gives the same pictures.
func TestRestore(t *testing.T) {
	cfg := langevin()
	cfg.EnergyLR, cfg.Initial.Start = 0.01, "noise"
	m, _, err := trained(t, cfg, 60)
	if err != nil {
		t.Fatal(err)
	}
	const n = 7 // more than one batch of 6
	y := make([]float32, n*64)
	bars{8}.Draw(y, rand.New(rand.NewPCG(4, 4)))
	r := Restoration{Known: make([]bool, 64), Rounds: 20}
	for i := range r.Known {
		r.Known[i] = i < 32 // the upper half
	}
	restore := func(rounds int) []float32 {
		r.Rounds = rounds
		x, err := m.Restore(t.Context(), y, r, 5, nil)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	start, end := restore(0), restore(20)
	for i, x := range end {
		if i%64 < 32 && x != y[i] {
			t.Fatalf("value %d is known to be %g and became %g", i, y[i], x)
		}
	}
	energies := func(x []float32) (sum float64) {
		all, err := m.Energies(x)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			sum += e
		}
		return sum
	}
	if before, after := energies(start), energies(end); !(after > before) {
		t.Errorf("f of what was filled in went from %g to %g", before, after)
	}
	if !slices.Equal(end, restore(20)) {
		t.Error("the same seed restores otherwise")
	}
}
