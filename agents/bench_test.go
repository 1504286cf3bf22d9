package agents_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/policies"
)

func BenchmarkUpdate(b *testing.B) {
	for _, size := range []int{100, 256} {
		for _, k := range []int{1, 8} {
			b.Run(fmt.Sprintf("batch=%d/k=%d", size, k), func(b *testing.B) {
				cfg := agents.Defaults()
				cfg.BatchSize = size
				s, err := agents.NewSAC(enginetest.Backend(b), policies.NewGaussian(), envbridge.Spec{ObsDim: 17, ActDim: 6, Copies: 1}, cfg, 1)
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
