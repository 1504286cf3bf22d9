// Command update times a learner's update and, in the same run and engine, its matrix
// products with the same shapes. It prints one line of JSON.
//
//	update --config walker2d/sac-fast --fused 8 --threads 1
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"syscall"
	"time"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/replay"
)

// Walker2d's sizes.
var walker = envbridge.Spec{ID: "Walker2d-v5", Copies: 1, ObsDim: 17, ActDim: 6}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "update-bench:", err)
		os.Exit(1)
	}
}

func run() error {
	config := flag.String("config", "walker2d/sac-fast", "configuration")
	fused := flag.Int("fused", 8, "updates in one call")
	threads := flag.Int("threads", 1, "of the engine; 0: all")
	reps := flag.Int("reps", 12, "timed calls")
	flag.Parse()
	cfg, err := experiments.Builtin().Resolve(*config, flag.Args())
	if err != nil {
		return err
	}
	if err := engine.SetThreads(*threads); err != nil {
		return err
	}
	backend, _, err := engine.Open("")
	if err != nil {
		return err
	}
	cfg.Schedule.FusedUpdates = *fused
	compiled := cpu()
	wall := time.Now()
	learner, err := cfg.Agent.Value.Make(agents.Task{
		Backend: backend, Spec: walker, Policy: cfg.Policy.Value, Schedule: cfg.Schedule, Seed: 1,
	})
	if err != nil {
		return err
	}
	defer learner.Close()
	line := map[string]any{"config": *config, "fused": *fused, "threads": *threads,
		"compile_s": time.Since(wall).Seconds(), "compile_cpu_s": (cpu() - compiled).Seconds()}
	batch := transitions(*fused * cfg.Schedule.BatchSize)
	var updateErr error
	update := measure(*reps, func() {
		if _, err := learner.Update(batch); err != nil {
			updateErr = err
		}
	})
	if updateErr != nil {
		return updateErr
	}
	line["update_ms"], line["update_cpu_ms"] = update.wall/float64(*fused), update.cpu/float64(*fused)
	if _, ok := cfg.Policy.Value.(policies.Gaussian); !ok {
		return json.NewEncoder(os.Stdout).Encode(line) // the products of particles are not listed yet
	}
	floor, flops, err := products(backend, cfg, *reps)
	if err != nil {
		return err
	}
	line["products_ms"], line["products_cpu_ms"], line["gflop"] = floor.wall, floor.cpu, flops/1e9
	line["times_products"] = line["update_cpu_ms"].(float64) / floor.cpu
	return json.NewEncoder(os.Stdout).Encode(line)
}

// A cost is the minimum time of a call, in ms: other work on the machine only adds to it.
type cost struct{ wall, cpu float64 }

// measure calls do a few times unmeasured, then reps times.
func measure(reps int, do func()) cost {
	do()
	do()
	var walls, cpus []float64
	for range reps {
		wall, before := time.Now(), cpu()
		do()
		walls, cpus = append(walls, time.Since(wall).Seconds()*1e3), append(cpus, (cpu()-before).Seconds()*1e3)
	}
	sort.Float64s(walls)
	sort.Float64s(cpus)
	return cost{walls[0], cpus[len(cpus)/4]}
}

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// transitions are n made-up ones.
func transitions(n int) *replay.Batch {
	rng := rand.New(rand.NewPCG(1, 1))
	draw := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = 2*rng.Float32() - 1
		}
		return x
	}
	b := &replay.Batch{N: n, Obs: draw(n * walker.ObsDim), Action: draw(n * walker.ActDim), Next: draw(n * walker.ObsDim), Reward: draw(n)}
	b.Discount, b.Weight = make([]float32, n), make([]float32, n)
	for i := range n {
		b.Discount[i], b.Weight[i] = 0.99, 1
	}
	return b
}
