// Command update times a learner's update and, in the same process and engine, what it
// consists of: its matrix products alone, the optimiser's steps, and the copies in and out.
// It prints one line of JSON.
//
//	update --config walker2d/sac-fast --fused 8 --threads 1
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/replay"
)

// task has Walker2d's sizes, or those of the flags.
var task = envbridge.Spec{ID: "Walker2d-v5", Copies: 1, ObsDim: 17, ActDim: 6}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "update-bench:", err)
		os.Exit(1)
	}
}

func run() error {
	config := flag.String("config", "walker2d/sac-fast", "configuration")
	fused := flag.Int("fused", 0, "updates in one call; 0: the configuration's")
	threads := flag.Int("threads", 1, "of the engine; 0: all")
	reps := flag.Int("reps", 8, "turns of each measurement")
	flag.IntVar(&task.ObsDim, "obs", task.ObsDim, "observation size; default: Walker2d's")
	flag.IntVar(&task.ActDim, "act", task.ActDim, "action size; default: Walker2d's")
	flag.Parse()
	cfg, err := experiments.Builtin().Resolve(*config, flag.Args())
	if err != nil {
		return err
	}
	if *fused > 0 {
		cfg.Schedule.FusedUpdates = *fused
	}
	if err := engine.SetThreads(*threads); err != nil {
		return err
	}
	folder, err := dump()
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	backend, _, err := engine.Open("")
	if err != nil {
		return err
	}
	line, err := breakdown(backend, cfg, folder, *reps)
	if err != nil {
		return err
	}
	line["config"], line["threads"] = *config, *threads
	return json.NewEncoder(os.Stdout).Encode(line)
}

// breakdown measures an update and its parts, in ms for one update. Without XLA there are
// no products to list, and it measures the update alone.
func breakdown(backend compute.Backend, cfg experiments.Config, folder string, reps int) (map[string]any, error) {
	agent, ok := cfg.Agent.Value.(sac.Config)
	if !ok {
		return nil, fmt.Errorf("%T: want soft actor-critic", cfg.Agent.Value)
	}
	fused := cfg.Schedule.FusedUpdates
	began, before := time.Now(), cpu()
	learner, err := agent.Make(agents.Task{
		Backend: backend, Spec: task, Policy: cfg.Policy.Value, Schedule: cfg.Schedule, Seed: 1,
	})
	if err != nil {
		return nil, err
	}
	defer learner.Close()
	line := map[string]any{"fused": fused, "compile_s": time.Since(began).Seconds(), "compile_cpu_s": (cpu() - before).Seconds()}
	batch := transitions(fused * cfg.Schedule.BatchSize)
	update := &timed{parts: float64(fused), do: func() error {
		_, err := learner.Update(batch)
		return err
	}}
	costs := map[string]cost{}
	products, err := productsOf(folder, agent, fused)
	switch {
	case errors.Is(err, errNoProgram):
		err = measure(reps, update)
	case err == nil:
		var all *parts
		if all, err = newParts(backend, learner.Store(), agent, batch, products, fused); err != nil {
			return nil, err
		}
		line["gflop"] = all.products.operations / 1e9
		if err = measure(reps, append(all.timed(), update)...); err == nil {
			costs = all.costs(update.cost())
		}
	}
	if err != nil {
		return nil, err
	}
	costs["update"] = update.cost()
	for name, c := range costs {
		line[name+"_ms"], line[name+"_cpu_ms"] = c.wall, c.cpu
	}
	return line, nil
}

// A cost is in ms: the fastest call's time, since other work on the machine only adds to
// it, and the lower quartile of the calls' processor time.
type cost struct{ wall, cpu float64 }

func (c cost) plus(d cost) cost     { return cost{c.wall + d.wall, c.cpu + d.cpu} }
func (c cost) minus(d cost) cost    { return cost{c.wall - d.wall, c.cpu - d.cpu} }
func (c cost) times(n float64) cost { return cost{c.wall * n, c.cpu * n} }

// A timed is something to measure, of so many equal parts.
type timed struct {
	do          func() error
	parts       float64
	walls, cpus []float64 // ms
}

// turn is the least time of a turn. Short calls repeat within it: the first of them runs
// with caches that are full of something else.
const turn = 10 * time.Millisecond

// measure runs everything in turns, A B C A B C …, so that a slow phase of the machine
// affects all, after one turn that does not count.
func measure(reps int, all ...*timed) error {
	for rep := range reps + 1 {
		for _, t := range all {
			if rep == 1 {
				t.walls, t.cpus = nil, nil
			}
			for began := time.Now(); ; {
				if err := t.once(); err != nil {
					return err
				}
				if time.Since(began) >= turn {
					break
				}
			}
		}
	}
	return nil
}

func (t *timed) once() error {
	wall, before := time.Now(), cpu()
	err := t.do()
	t.walls = append(t.walls, time.Since(wall).Seconds()*1e3)
	t.cpus = append(t.cpus, (cpu()-before).Seconds()*1e3)
	return err
}

// cost is that of one part.
func (t *timed) cost() cost {
	slices.Sort(t.cpus)
	return cost{slices.Min(t.walls), t.cpus[len(t.cpus)/4]}.times(1 / t.parts)
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
	b := &replay.Batch{N: n, Obs: draw(n * task.ObsDim), Action: draw(n * task.ActDim), Next: draw(n * task.ObsDim), Reward: draw(n)}
	b.Discount, b.Weight = make([]float32, n), make([]float32, n)
	for i := range n {
		b.Discount[i], b.Weight[i] = 0.99, 1
	}
	return b
}
