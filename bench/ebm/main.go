// Command ebm times one update of an image model for bench/run.sh and prints one line of
// JSON: the configuration met-sigma-eps of a size, on made images of 28×28.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/images/ebm"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "ebm-bench:", err)
		os.Exit(1)
	}
}

func run() error {
	reps := flag.Int("reps", 5, "timed updates")
	warmup := flag.Int("warmup", 2, "updates before")
	side := flag.Int("side", 28, "of the images")
	size := flag.String("size", "tiny", "tiny or small")
	flag.Parse()
	cfg, err := experiments.ResolveImages("met-sigma-eps", *size, nil)
	if err != nil {
		return err
	}
	backend, choice, err := engine.Open("")
	if err != nil {
		return err
	}
	opened, started := peakMB(), time.Now()
	shape := ebm.Shape{Height: *side, Width: *side, Channels: 1}
	model, err := ebm.New(backend, cfg.Model, shape, 1)
	if err != nil {
		return err
	}
	defer model.Close()
	compiled := time.Since(started)
	rng := rand.New(rand.NewPCG(1, 1))
	pictures := make([]float32, model.BatchSize()*shape.Size())
	for i := range pictures {
		pictures[i] = 2*rng.Float32() - 1
	}
	if err := model.Prepare(pictures); err != nil {
		return err
	}
	var ms []float64
	for i := range *warmup + *reps {
		start := time.Now()
		if _, err := model.Update(pictures); err != nil {
			return err
		}
		if i >= *warmup {
			ms = append(ms, float64(time.Since(start).Microseconds())/1e3)
		}
	}
	sorted := slices.Sorted(slices.Values(ms))
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"name": "stein", "backend": choice.From, "ms": ms, "median_ms": sorted[len(sorted)/2],
		"compile_s": compiled.Seconds(), "engine_mb": opened, "peak_mb": peakMB(),
	})
}

// peakMB is the most memory that this process has had.
func peakMB() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return float64(usage.Maxrss) / 1024 // kilobytes on Linux
}
