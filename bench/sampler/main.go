// Command sampler measures Stein's sampler for bench/run.sh. It prints one line of
// JSON, in the form of bench/sampler/workload.py.
//
//	sampler-bench policy --particles 10 --reps 20
//	sampler-bench image --reps 20
//	sampler-bench step --particles 64 --dims 6 --reps 5
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"syscall"
	"time"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/engine"
)

// options are the flags of every measurement.
type options struct {
	particles, dims, reps, warmup int
}

// A measurement times one thing and answers the fields of its line.
type measurement func(b compute.Backend, o options) (map[string]any, error)

var measurements = map[string]measurement{"image": image}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sampler-bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || measurements[args[0]] == nil {
		return fmt.Errorf("want policy, image or step, have %q", args)
	}
	var o options
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.IntVar(&o.particles, "particles", 10, "particles M of a system")
	f.IntVar(&o.dims, "dims", 6, "dimensions D")
	f.IntVar(&o.reps, "reps", 10, "timed calls")
	f.IntVar(&o.warmup, "warmup", 2, "calls before, compilation included")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	b, choice, err := engine.Open("")
	if err != nil {
		return err
	}
	line, err := measurements[args[0]](b, o)
	if err != nil {
		return err
	}
	line["name"], line["backend"] = "stein", choice.From
	line["particles"], line["peak_mb"] = o.particles, peakMB()
	return json.NewEncoder(os.Stdout).Encode(line)
}

// timed calls f warmup + reps times and answers the milliseconds of the last reps,
// and their median.
func timed(o options, f func() error) (ms []float64, median float64, err error) {
	for i := range o.warmup + o.reps {
		start := time.Now()
		if err := f(); err != nil {
			return nil, 0, err
		}
		if i >= o.warmup {
			ms = append(ms, 1e3*time.Since(start).Seconds())
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
