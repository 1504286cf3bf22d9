// Package fourteen tests the published configurations of Walker2d. It is a package of its
// own because interpreting their graphs with the race detector takes ten times as long, and
// nothing here starts a goroutine.
package fourteen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/replay"
)

// fourteen are the configurations with a published figure.
var fourteen = []string{
	"sac", "sac-nf", "p-svgd", "met-sigma", "met-sigma-eps-notrace", "met-sigma-eps", "met-sigma-eps-nobound",
	"met-lc-m10", "met-mh-m10", "met-mh-greedy-m10", "met-m64", "met-lc-m64", "met-mh-m64", "met-mh-greedy-m64",
}

// smallNetworks make a configuration quick enough to try.
var smallNetworks = []string{"policy.hidden=[8]", "agent.critic.hidden=[8, 8]"}

// aBatch is of a made-up problem: the reward is high where the first action follows
// the first number of the observation.
func aBatch(n, obsDim, actDim int, rng *rand.Rand) *replay.Batch {
	numbers := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64()) / 2
		}
		return x
	}
	b := &replay.Batch{
		N: n, Obs: numbers(n * obsDim), Action: numbers(n * actDim), Next: numbers(n * obsDim),
		Reward: make([]float32, n), Discount: make([]float32, n), Weight: make([]float32, n), Index: make([]int64, n),
	}
	for i := range n {
		for d := range actDim {
			a := &b.Action[i*actDim+d]
			*a = float32(math.Tanh(float64(*a)))
		}
		miss := b.Action[i*actDim] - b.Obs[i*obsDim]
		b.Reward[i], b.Discount[i], b.Weight[i] = -miss*miss, 0.9, 1
	}
	return b
}

func learner(c experiments.Config, backend compute.Backend, spec envbridge.Spec) (agents.Learner, error) {
	return c.Agent.Value.Make(agents.Task{Backend: backend, Spec: spec, Policy: c.Policy.Value, Schedule: c.Schedule, Seed: 1})
}

// Ensure that each of the fourteen is there, says its published figure, and learns:
// twenty updates with figures that are all numbers, of which the critic's loss falls.
func TestFourteenLearn(t *testing.T) {
	if testing.Short() {
		t.Skip("trains fourteen agents")
	}
	spec := envbridge.Spec{ID: "made-up", Copies: 1, ObsDim: 3, ActDim: 2}
	for _, name := range fourteen {
		t.Run(name, func(t *testing.T) {
			cfg, err := experiments.Builtin().Resolve("walker2d/"+name, slices.Concat(smallNetworks, []string{"schedule.batch_size=4"}))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(cfg.About, "published") {
				t.Errorf("about: %q names no published figure", cfg.About)
			}
			agent, err := learner(cfg, enginetest.PureGo(t), spec)
			if err != nil {
				t.Fatal(err)
			}
			defer agent.Close()
			rng := rand.New(rand.NewPCG(1, 2))
			var first, last agents.Metrics
			for range 2 {
				last, err = agent.Update(aBatch(10*cfg.Schedule.BatchSize, spec.ObsDim, spec.ActDim, rng))
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = last
				}
				for figure, x := range last {
					if math.IsNaN(x) || math.IsInf(x, 0) {
						t.Errorf("%s is %g", figure, x)
					}
				}
			}
			if last["train/n_updates"] != 20 {
				t.Errorf("%g updates", last["train/n_updates"])
			}
			if !(last["train/critic_loss"] < first["train/critic_loss"]) {
				t.Errorf("critic loss %g, then %g", first["train/critic_loss"], last["train/critic_loss"])
			}
		})
	}
}

// BenchmarkUpdate times one update of each of the fourteen at Walker2d's sizes, by
// the clock and in processor time.
func BenchmarkUpdate(b *testing.B) {
	spec := envbridge.Spec{ID: "Walker2d-v5", Copies: 1, ObsDim: 17, ActDim: 6}
	for _, name := range fourteen {
		b.Run(name, func(b *testing.B) {
			cfg, err := experiments.Builtin().Resolve("walker2d/"+name, nil)
			if err != nil {
				b.Fatal(err)
			}
			cfg.Schedule.FusedUpdates = 1
			agent, err := learner(cfg, enginetest.Backend(b), spec)
			if err != nil {
				b.Fatal(err)
			}
			defer agent.Close()
			batch := aBatch(cfg.Schedule.BatchSize, spec.ObsDim, spec.ActDim, rand.New(rand.NewPCG(1, 2)))
			if _, err := agent.Update(batch); err != nil {
				b.Fatal(err)
			}
			before := processorTime(b)
			for b.Loop() {
				if _, err := agent.Update(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((processorTime(b)-before)/float64(b.N), "cpu-ms/update")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1e3/float64(b.N), "ms/update")
		})
	}
}

// processorTime is what the process has used, in ms.
func processorTime(b *testing.B) float64 {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(fmt.Errorf("getrusage: %w", err))
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e6
}
