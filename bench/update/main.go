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
	"time"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
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
	fused := flag.Int("fused", 0, "updates in one call; 0: the configuration's")
	threads := flag.Int("threads", 1, "of the engine; 0: all")
	reps := flag.Int("reps", 8, "turns of each measurement")
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
		Backend: backend, Spec: walker, Policy: cfg.Policy.Value, Schedule: cfg.Schedule, Seed: 1,
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
	all := []*timed{update}
	compiled, err := lastProgram(folder)
	if errors.Is(err, errNoProgram) {
		err = measure(reps, all...)
		line["update_ms"], line["update_cpu_ms"] = update.cost().wall, update.cost().cpu
		return line, err
	}
	if err != nil {
		return nil, err
	}
	share := compiled.policyShare(agent.PolicyDelay)
	counts, err := compiled.ofUpdate(fused > 1, share)
	if err != nil {
		return nil, err
	}
	products, err := newFloor(backend, counts)
	if err != nil {
		return nil, err
	}
	critics, err := newSteps(backend, learner.Store(), agent, batch, "critic")
	if err != nil {
		return nil, err
	}
	policy, err := newSteps(backend, learner.Store(), agent, batch, "policy", "alpha")
	if err != nil {
		return nil, err
	}
	empty, ofCritics, ofPolicy := critics.times(0), critics.times(manySteps), policy.times(manySteps)
	all = append(append(all, products.shapes...), empty, ofCritics, ofPolicy)
	if err := measure(reps, all...); err != nil {
		return nil, err
	}
	none := empty.cost()
	optimiser := ofCritics.cost().minus(none).plus(ofPolicy.cost().minus(none).times(share)).times(1.0 / manySteps)
	copies := none.times(1 / float64(fused))
	rest := update.cost().minus(products.sum()).minus(optimiser).minus(copies)
	for name, c := range map[string]cost{
		"update": update.cost(), "products": products.sum(), "optimiser": optimiser, "copies": copies, "rest": rest,
	} {
		line[name+"_ms"], line[name+"_cpu_ms"] = c.wall, c.cpu
	}
	line["gflop"], line["policy_delay"], line["policy_share"] = products.flop/1e9, agent.PolicyDelay, share
	return line, nil
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
