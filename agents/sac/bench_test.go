package sac_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stein-rl/stein/agents/sac"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/replay"
)

// Walker2d's sizes, and networks of two hidden layers of 256.
var walker = envbridge.Spec{ID: "Walker2d-v5", Copies: 1, ObsDim: 17, ActDim: 6, MaxSteps: 1000}

// BenchmarkUpdate times gradient steps of every part, alone and fused.
func BenchmarkUpdate(b *testing.B) {
	for _, size := range []int{100, 256} {
		for _, k := range []int{1, 8} {
			b.Run(fmt.Sprintf("batch=%d/fused=%d", size, k), func(b *testing.B) {
				cfg := defaults()
				cfg.BatchSize, cfg.FusedUpdates = size, k
				s, err := sac.New(cfg.Config, cfg.compiled(b, policies.NewGaussian(), walker, 1))
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				batch := randomBatch(size*k, walker.ObsDim, walker.ActDim)
				for b.Loop() {
					if _, err := s.Update(batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/1e3/float64(b.N*k), "ms/update")
			})
		}
	}
}

// BenchmarkAct times the choice of one exploring action for one state, of Walker2d's
// sizes and each configuration's policy.
func BenchmarkAct(b *testing.B) {
	for _, name := range []string{"sac", "sac-nf", "p-svgd", "met-sigma-eps", "met-lc-m10", "met-mh-m10"} {
		b.Run(name, func(b *testing.B) {
			cfg, err := experiments.Builtin().Resolve("walker2d/"+name, nil)
			if err != nil {
				b.Fatal(err)
			}
			s, err := cfg.Agent.Value.Make(agents.Task{Backend: enginetest.Backend(b), Spec: walker, Policy: cfg.Policy.Value, Seed: 1, Use: agents.ToAct})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			obs := make([]float32, walker.ObsDim)
			var took []float64 // ms
			for b.Loop() {
				start := time.Now()
				if _, err := s.Act(obs, false); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start).Seconds()*1e3)
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2], "p50-ms")
			b.ReportMetric(took[len(took)*99/100], "p99-ms")
		})
	}
}

// BenchmarkTrain times whole training steps on Walker2d, one update each.
func BenchmarkTrain(b *testing.B) {
	for _, size := range []int{100, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			cfg := defaults()
			cfg.BatchSize, cfg.RandomSteps, cfg.LearningStarts = size, 0, 0
			env := start(b, envbridge.Worker{Env: walker.ID})
			s, err := sac.New(cfg.Config, cfg.compiled(b, policies.NewGaussian(), env.Spec(), 1))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			buffer, err := replay.New(replay.Config{Capacity: 100_000, Copies: 1, ObsDim: walker.ObsDim, ActDim: walker.ActDim, Gamma: 0.99})
			if err != nil {
				b.Fatal(err)
			}
			rec := &figures{last: agents.Metrics{}}
			loop := &agents.Loop{
				Envs: []envbridge.Env{env}, Agent: s, Buffer: buffer, Schedule: cfg.Schedule, Steps: 400, Recorder: rec,
			}
			if err := loop.Train(b.Context()); err != nil { // warm up
				b.Fatal(err)
			}
			loop.Steps += int64(b.N)
			b.ResetTimer()
			if err := loop.Train(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(rec.last["time/fps"], "steps/s")
			for _, phase := range []string{"act", "env_wait", "sample", "update"} {
				b.ReportMetric(100*rec.last["time/"+phase], "%"+phase)
			}
		})
	}
}
