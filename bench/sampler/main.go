// Command sampler times, in Stein's engine, the matrix products that a sampler step
// on images cannot do without. It prints one line of JSON for bench/run.sh.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"syscall"
	"time"

	"github.com/stein-rl/stein/engine"
)

// options are the flags.
type options struct{ reps, warmup int }

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sampler-bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var o options
	f := flag.NewFlagSet("sampler-bench", flag.ContinueOnError)
	f.IntVar(&o.reps, "reps", 10, "timed calls")
	f.IntVar(&o.warmup, "warmup", 2, "calls before, compilation included")
	if err := f.Parse(args); err != nil {
		return err
	}
	b, choice, err := engine.Open("")
	if err != nil {
		return err
	}
	line, err := image(b, o)
	if err != nil {
		return err
	}
	line["name"], line["backend"] = "stein", choice.From
	line["peak_mb"] = peakMB()
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
