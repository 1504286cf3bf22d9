package ebm

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

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

func TestThinPath(t *testing.T) {
	start := time.Now()
	cfg := tiny()
	cfg.Sampler.Bandwidth = sampler.ScaleConfig{Kind: "learned", Value: 1}
	cfg.Sampler.StepSize = sampler.ScaleConfig{Kind: "learned", Value: 1}
	cfg.Sampler.Trace.Hessian = true
	cfg.Sampler.Bound = sampler.BoundConfig{Kind: "spectral", Clamp: "leaky"}
	m, err := New(enginetest.Backend(t), cfg, Shape{8, 8, 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	t.Log("compiled", time.Since(start))
	var rec recorded
	l := Loop{Model: m, Pictures: bars{8}, Updates: 20, Seed: 1, Recorder: &rec, Every: 5}
	if err := l.Train(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, r := range rec {
		t.Log(r)
	}
}
