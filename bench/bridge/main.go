//go:build unix

// Command bridge measures environment steps per second through envbridge, with the loop
// and the actions of python_steps.py. It prints one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/stein-rl/stein/envbridge"
)

func main() {
	id := flag.String("env", "Walker2d-v5", "Gymnasium id")
	workers := flag.Int("workers", 1, "processes")
	copies := flag.Int("copies", 1, "environments in each")
	seconds := flag.Float64("seconds", 3, "how long to step")
	python := flag.String("echo", "", "time messages alone instead, with this Python answering by bench/bridge/echo.py")
	flag.Parse()
	if *python != "" {
		if err := echo(*python, "bench/bridge/echo.py", *seconds); err != nil {
			fmt.Fprintln(os.Stderr, "bridge-bench: echo:", err)
			os.Exit(1)
		}
		return
	}
	w := envbridge.Worker{Env: *id, Processes: *workers, Copies: *copies}
	if err := measure(w, *seconds); err != nil {
		fmt.Fprintln(os.Stderr, "bridge-bench:", err)
		os.Exit(1)
	}
}

func measure(w envbridge.Worker, seconds float64) error {
	ctx := context.Background()
	env, err := envbridge.Start(ctx, w)
	if err != nil {
		return err
	}
	defer env.Close()
	if _, err := env.Reset(ctx, 0); err != nil {
		return err
	}
	if _, err := stepsPerSecond(ctx, env, 0.3); err != nil { // warm-up
		return err
	}
	rate, err := stepsPerSecond(ctx, env, seconds)
	if err != nil {
		return err
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"name": "bridge", "workers": w.Processes, "copies": w.Copies,
		"steps_per_s": rate, "peak_mb": float64(u.Maxrss) / 1024,
	})
}

// stepsPerSecond counts a step of each copy as one. The actions are drawn in advance.
func stepsPerSecond(ctx context.Context, env envbridge.Env, seconds float64) (float64, error) {
	spec := env.Spec()
	rng := rand.New(rand.NewPCG(1, 2))
	actions := make([][]float32, 1000)
	for i := range actions {
		actions[i] = make([]float32, spec.Copies*spec.ActDim)
		for j := range actions[i] {
			actions[i][j] = 2*rng.Float32() - 1
		}
	}
	start, n := time.Now(), 0
	for ; time.Since(start).Seconds() < seconds; n++ {
		if err := env.Send(ctx, actions[n%len(actions)]); err != nil {
			return 0, err
		}
		step, err := env.Recv(ctx)
		if err != nil {
			return 0, err
		}
		if step.Lost {
			return 0, fmt.Errorf("a worker was lost at step %d", n)
		}
	}
	return float64(n*spec.Copies) / time.Since(start).Seconds(), nil
}
