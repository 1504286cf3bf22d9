// Command sampler times parts of Stein's samplers for bench/run.sh. It runs one size per
// process, so that the peak memory is that size's, and prints one line of JSON.
//
//	sampler update --particles M           the policy update that the peers are timed with
//	sampler step --particles M --dims D    one MET-SVGD step
//	sampler image                          steps on images beside their matrix products
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"sort"
	"syscall"
	"time"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/engine"
)

// options are the flags.
type options struct{ particles, dims, reps, warmup int }

// result is the line of JSON.
type result map[string]any

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sampler-bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	parts := map[string]func(compute.Backend, options) (result, error){"update": update, "step": step, "image": image}
	if len(args) == 0 || parts[args[0]] == nil {
		return errors.New("want update, step or image first")
	}
	var o options
	f := flag.NewFlagSet("sampler-bench "+args[0], flag.ContinueOnError)
	f.IntVar(&o.particles, "particles", 10, "M")
	f.IntVar(&o.dims, "dims", 6, "D of step")
	f.IntVar(&o.reps, "reps", 10, "timed calls")
	f.IntVar(&o.warmup, "warmup", 2, "calls before, compilation included")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	b, choice, err := engine.Open("")
	if err != nil {
		return err
	}
	opened := peakMB()
	line, err := parts[args[0]](b, o)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	line["name"], line["backend"] = "stein", choice.From
	line["engine_mb"], line["peak_mb"] = opened, peakMB()
	return json.NewEncoder(os.Stdout).Encode(line)
}

// timed compiles build, calls it warmup + reps times with args and returns the
// milliseconds of the last reps, and their median. It reads the first output, a scalar,
// so that each call is complete when the clock stops.
func timed(b compute.Backend, o options, build func([]*Node) []*Node, args ...any) (ms []float64, median float64, err error) {
	var exec *Exec
	if err := engine.Try(func() { exec = MustNewExec(b, build) }); err != nil {
		return nil, 0, err
	}
	for i := range o.warmup + o.reps {
		start := time.Now()
		outs, err := exec.Call(args...)
		if err != nil {
			return nil, 0, err
		}
		if first := outs[0].Value().(float32); math.IsNaN(float64(first)) {
			return nil, 0, errors.New("the result is not a number")
		}
		if i >= o.warmup {
			ms = append(ms, 1e3*time.Since(start).Seconds())
		}
		for _, out := range outs {
			out.MustFinalizeAll()
		}
	}
	sorted := append([]float64(nil), ms...)
	sort.Float64s(sorted)
	n := len(sorted)
	return ms, (sorted[(n-1)/2] + sorted[n/2]) / 2, nil
}

// peakMB is the largest resident memory of this process so far.
func peakMB() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Maxrss) / 1024
}
