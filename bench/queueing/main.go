// Queueing checks the estimate in docs/scaling.md by simulation: the steps per second of
// one learner with N simulators, which it serves in turn.
//
//	go run ./bench/queueing
package main

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// A scenario is a learner and its simulators.
type scenario struct {
	name    string
	learner float64 // seconds of acting and updating per step
	step    float64 // mean seconds from sending an action to its result
	spread  float64 // standard deviation of step divided by its mean
}

// The measured times are those of docs/benchmarks.md; spread is assumed.
var scenarios = []scenario{
	{"SAC, batch 256, CPU", 1 / 133.0, 1 / 3541.0, 0.3},
	{"SAC, batch 100, CPU", 1 / 229.0, 1 / 3541.0, 0.3},
	{"a learner of 1,000 updates/s", 1 / 1000.0, 1 / 3541.0, 0.3},
	{"a learner of 5,000 updates/s", 1 / 5000.0, 1 / 3541.0, 0.3},
	{"acting alone, 10,000/s", 1 / 10000.0, 1 / 3541.0, 0.3},
	{"a simulator of 50 steps/s", 1 / 133.0, 1 / 50.0, 0.3},
	{"the same, far from even", 1 / 133.0, 1 / 50.0, 1.0},
}

// estimate is min(N/Z, 1/U): N simulators that never wait, or a learner that never waits,
// since simulators work while the learner learns. Z/U is the number of simulators that
// saturates a learner.
func estimate(s scenario, n int) float64 {
	return min(float64(n)/s.step, 1/s.learner)
}

// simulate runs the loop of agents.Train: for each simulator in turn, it waits for the
// result, sends the next action, and learns.
func simulate(s scenario, n, steps int, rng *rand.Rand) float64 {
	ready := make([]float64, n)
	now := 0.0
	for i := range steps {
		w := i % n
		now = max(now, ready[w])
		ready[w] = now + s.draw(rng) // the action is sent before the learner learns
		now += s.learner
	}
	return float64(steps) / now
}

// draw is a lognormal time with the mean and spread of the scenario.
func (s scenario) draw(rng *rand.Rand) float64 {
	v := math.Log(1 + s.spread*s.spread)
	return s.step * math.Exp(math.Sqrt(v)*rng.NormFloat64()-v/2)
}

func main() {
	rng := rand.New(rand.NewPCG(1, 2))
	fmt.Println("| learner | simulators | estimate, steps/s | simulated | off by | feeds on |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: |")
	for _, s := range scenarios {
		for _, n := range []int{1, 2, 4, 8} {
			e, x := estimate(s, n), simulate(s, n, 200_000, rng)
			fmt.Printf("| %s | %d | %.0f | %.0f | %+.0f %% | %.2f |\n", s.name, n, e, x, 100*(e/x-1), max(1, s.step/s.learner))
		}
	}
}
