package agents

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/replay"
)

func randomBatch(n, s, a int) *replay.Batch {
	r := rand.New(rand.NewPCG(1, 2))
	f := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64()) * 0.3
		}
		return x
	}
	b := &replay.Batch{N: n, Obs: f(n * s), Action: f(n * a), Reward: f(n), Next: f(n * s), Discount: f(n), Weight: f(n), Index: make([]int64, n)}
	for i := range n {
		b.Discount[i] = 0.99
		b.Weight[i] = 1
	}
	return b
}

func BenchmarkUpdate(b *testing.B) {
	for _, size := range []int{100, 256} {
		for _, k := range []int{1, 8} {
			b.Run(fmt.Sprintf("batch=%d/k=%d", size, k), func(b *testing.B) {
				cfg := Defaults()
				cfg.BatchSize = size
				s, err := NewSAC(enginetest.Backend(b), policies.NewGaussian(), envbridge.Spec{ObsDim: 17, ActDim: 6, Copies: 1}, cfg, 1)
				if err != nil {
					b.Fatal(err)
				}
				batch := randomBatch(size*k, 17, 6)
				if _, err := s.Update(batch); err != nil {
					b.Fatal(err)
				}
				var r0, r1 syscall.Rusage
				syscall.Getrusage(0, &r0)
				d0 := runDelay()
				for b.Loop() {
					if _, err := s.Update(batch); err != nil {
						b.Fatal(err)
					}
				}
				d1 := runDelay()
				b.ReportMetric((d1-d0)/float64(b.N*k), "delay-ms/update")
				syscall.Getrusage(0, &r1)
				cpu := func(r syscall.Rusage) float64 { return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e6 }
				b.ReportMetric((cpu(r1)-cpu(r0))/float64(b.N*k), "cpu-ms/update")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*k)/1e6, "ms/update")
			})
		}
	}
}

func runDelay() (ms float64) {
	files, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, f := range files {
		x, _ := os.ReadFile(f)
		var run, delay, n float64
		fmt.Sscan(string(x), &run, &delay, &n)
		ms += delay / 1e6
	}
	return ms
}
