package serve_test

import (
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stein-rl/stein/serve/client"
)

// The figures of docs/serving.md: go test ./serve -run '^$' -bench . -benchtime 3s
var benchConfig = flag.String("config", "walker2d/sac", "configuration of the benchmarks' policy, at its full size")

// BenchmarkInProcess is the agent called by its own program.
func BenchmarkInProcess(b *testing.B) {
	agent := newRun(b, *benchConfig).learner(b, 1)
	obs := observations(rand.New(rand.NewPCG(1, 1)), 1)
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		started := time.Now()
		if _, err := agent.Act(obs, false); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(started))
	}
	report(b, took)
}

func BenchmarkAct(b *testing.B) {
	for name, n := range map[string]int{"clients=1": 1, "clients=64": 64} {
		b.Run(name, func(b *testing.B) { benchmarkClients(b, n, unary) })
	}
}

func BenchmarkStream(b *testing.B) {
	for name, n := range map[string]int{"clients=1": 1, "clients=64": 64} {
		b.Run(name, func(b *testing.B) { benchmarkClients(b, n, streamed) })
	}
}

type asker func(obs []float32) error

func unary(b *testing.B, c *client.Client) asker {
	return func(obs []float32) error { _, err := c.Act(b.Context(), obs, client.Ask{}); return err }
}

func streamed(b *testing.B, c *client.Client) asker {
	s, err := c.Stream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return func(obs []float32) error { _, err := s.Act(obs, client.Ask{}); return err }
}

// benchmarkClients has n clients, a connection each, ask one observation after the
// other.
func benchmarkClients(b *testing.B, n int, connect func(*testing.B, *client.Client) asker) {
	r := newRun(b, *benchConfig)
	r.save(b, 1, r.learner(b, 1))
	c := config(b, r)
	c.Limits.Batch = 64
	address := start(b, c)
	obs := observations(rand.New(rand.NewPCG(1, 1)), 1)
	asks := make([]asker, n)
	for i := range asks {
		asks[i] = connect(b, dial(b, address, client.Options{}))
		if err := asks[i](obs); err != nil {
			b.Fatal(err)
		}
	}
	took := make([][]time.Duration, n)
	var done atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for i, ask := range asks {
		all.Go(func() {
			for done.Add(1) <= int64(b.N) {
				started := time.Now()
				if err := ask(obs); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(started))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	report(b, slices.Concat(took...))
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "answers/s")
}
