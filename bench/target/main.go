// Command target compares estimates of the critics' target on the frozen networks of a
// run: with fewer particles, with the start distribution instead of the particles, and
// with importance sampling. It prints a Markdown table.
//
//	target --draws 16 runs/walker2d-met-fast-1
//
// The states are the next observations of a minibatch of the run's replay memory. The
// reference is the mean of 2·draws estimates by all particles, from other random numbers
// than the rows'.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/replay"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "target:", err)
		os.Exit(1)
	}
}

func run() error {
	n := flag.Int("states", 1024, "states")
	draws := flag.Int("draws", 16, "estimates of each state and row")
	which := flag.String("checkpoint", "last", "last, or a step")
	flag.Parse()
	if flag.NArg() != 1 || *n < 2 || *draws < 2 {
		return errors.New("want a run folder with its replay memory, and at least 2 states and draws")
	}
	if err := engine.SetThreads(1); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	backend, err := experiments.OpenBackend("", 1, log)
	if err != nil {
		return err
	}
	actor, err := experiments.Builtin().OpenActor(backend, flag.Arg(0), *which, log)
	if err != nil {
		return err
	}
	defer actor.Close()
	learner, ok := actor.Agent.(*sac.Learner)
	if !ok {
		return fmt.Errorf("%s: its agent is %T, want soft actor-critic", flag.Arg(0), actor.Agent)
	}
	states, err := states(actor, *n)
	if err != nil {
		return err
	}
	return compare(os.Stdout, learner, states, *n, *draws)
}

// states are next observations of the replay memory in the actor's checkpoint.
func states(a *experiments.Actor, n int) ([]float32, error) {
	gamma, steps := a.Config.Agent.Value.Discount()
	memory, err := replay.New(replay.Config{
		Capacity: a.Config.Replay.Capacity, Copies: a.Config.Env.Workers * a.Config.Env.Copies,
		ObsDim: a.Spec.ObsDim, ActDim: a.Spec.ActDim, NStep: steps, Gamma: gamma,
	})
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(a.At.Path, "replay.bin"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := memory.Load(file); err != nil {
		return nil, err
	}
	var b replay.Batch
	err = memory.Sample(&b, n, rand.New(rand.NewPCG(1, 2)))
	return b.Next, err
}

// An estimate has a value for every draw and state.
type estimate struct {
	values [][]float64 // [draws][states]
	cpu    float64     // processor ms of a draw
}

func measure(l *sac.Learner, target string, particles int, states []float32, draws int, seed uint64) (e estimate, err error) {
	v, err := l.SoftValues(target, particles)
	if err != nil {
		return e, err
	}
	defer v.Close()
	if _, err := v.Of(states, 0); err != nil { // compiles
		return e, err
	}
	before := cpu()
	for i := range draws {
		got, err := v.Of(states, seed+uint64(i))
		if err != nil {
			return e, err
		}
		row := make([]float64, len(got))
		for j, x := range got {
			row[j] = float64(x)
		}
		e.values = append(e.values, row)
	}
	e.cpu = (cpu() - before).Seconds() * 1e3 / float64(draws)
	return e, nil
}

// mean averages over draws.
func (e estimate) mean() []float64 {
	sum := make([]float64, len(e.values[0]))
	for _, row := range e.values {
		for j, x := range row {
			sum[j] += x / float64(len(e.values))
		}
	}
	return sum
}

// compare writes the table. Bias is the mean over states of an estimate's mean minus the
// reference's, with its standard error; spread is the root mean square of the same
// difference around the bias; noise is the standard deviation of one draw.
func compare(out io.Writer, l *sac.Learner, states []float32, n, draws int) error {
	m := l.Particles()
	full, err := measure(l, "particles", m, states, 2*draws, 1_000)
	if err != nil {
		return err
	}
	reference := full.mean()
	mean, spread := moments(reference)
	fmt.Fprintf(out, "%d states; soft value by all %d particles: mean %.2f, standard deviation over states %.2f.\n\n", n, m, mean, spread)
	fmt.Fprintln(out, "| target | particles | bias | spread over states | noise of a draw | processor ms for 128 states |\n|---|---|---|---|---|---|")
	for _, row := range rows(m) {
		e, err := measure(l, row.target, row.particles, states, draws, 1)
		if err != nil {
			return err
		}
		difference := e.mean()
		for j := range difference {
			difference[j] -= reference[j]
		}
		bias, spread := moments(difference)
		fmt.Fprintf(out, "| %s | %d | %+.3f ± %.3f | %.3f | %.3f | %.2f |\n", row.target, row.particles,
			bias, spread/math.Sqrt(float64(n)), spread, e.noise(), e.cpu*128/float64(n))
	}
	return nil
}

type setting struct {
	target    string
	particles int
}

func rows(m int) []setting {
	all := []setting{{"particles", m}}
	for k := m / 2; k > 1; k /= 2 {
		all = append(all, setting{"particles", k})
	}
	return append(all, setting{"particles", 1}, setting{"start", 1}, setting{"start", m}, setting{"importance", m})
}

// noise is the standard deviation of one draw's value, root mean square over states.
func (e estimate) noise() float64 {
	mean, sum := e.mean(), 0.0
	for _, row := range e.values {
		for j, x := range row {
			sum += (x - mean[j]) * (x - mean[j])
		}
	}
	return math.Sqrt(sum / float64(len(mean)*(len(e.values)-1)))
}

// moments are the mean and the standard deviation.
func moments(x []float64) (mean, std float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		std += (v - mean) * (v - mean) / float64(len(x)-1)
	}
	return mean, math.Sqrt(std)
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
