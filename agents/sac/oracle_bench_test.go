package sac_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/enginetest"
)

// processorTime is what this process has computed so far: what others compute beside
// it changes little of it.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStart is what `stein serve` compiles before it answers, and what an actor
// compiles; cpu-s is processor time.
func BenchmarkStart(b *testing.B) {
	for _, config := range []string{"walker2d/sac", "walker2d/p-svgd", "walker2d/met-sigma-eps"} {
		cfg, err := experiments.Builtin().Resolve(config, nil)
		if err != nil {
			b.Fatal(err)
		}
		measure := func(name string, work func(b *testing.B)) {
			b.Run(config+"/"+name, func(b *testing.B) {
				before := processorTime(b)
				for b.Loop() {
					work(b)
				}
				b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N), "cpu-s")
			})
		}
		build := func(b *testing.B, use agents.Use) agents.Learner {
			s, err := cfg.Agent.Value.Make(agents.Task{Backend: enginetest.Backend(b), Spec: walker, Policy: cfg.Policy.Value, Seed: 1, Use: use})
			if err != nil {
				b.Fatal(err)
			}
			return s
		}
		measure("idle", func(b *testing.B) { build(b, agents.ToKeep).Close() })
		measure("actor", func(b *testing.B) {
			build(b, agents.ToAct).Close()
		})
		for _, rows := range []int{1, 8, 64} {
			measure(fmt.Sprintf("oracle-%d", rows), func(b *testing.B) {
				s := build(b, agents.ToKeep)
				defer s.Close()
				o, err := s.(agents.Answerer).Oracle([]int{rows})
				if err != nil {
					b.Fatal(err)
				}
				o.Close()
			})
		}
	}
}
