package main

import (
	"fmt"
	"maps"
	"math"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/nn"
)

// A program of two fused updates: one product in the loop, one in a fusion that runs twice,
// and one in a loop of three rounds within.
const text = `HloModule small, is_scheduled=true

%fused (param_0: f32[8,4], param_1: f32[4,2]) -> f32[8,2] {
  %param_0 = f32[8,4]{1,0} parameter(0)
  %param_1 = f32[4,2]{1,0} parameter(1)
  ROOT %dot.1 = f32[8,2]{1,0} dot(%param_0, %param_1), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={source_line=7}
}

%inner (s: f32[7]) -> f32[7] {
  %s = f32[7]{0} parameter(0)
  %m = f32[7,7]{1,0} broadcast(%s), dimensions={0}
  ROOT %dot.3 = f32[7]{0} dot(%s, %m), lhs_contracting_dims={0}, rhs_contracting_dims={0}
}

%body (state: (f32[8,4], f32[4,2])) -> (f32[8,4], f32[4,2]) {
  %a = f32[8,4]{1,0} get-tuple-element(%state), index=0
  %dot.4 = f32[8,8]{1,0} dot(%a, %a), lhs_contracting_dims={1}, rhs_contracting_dims={1}
  %once = f32[8,2]{1,0} fusion(%a, %b), kind=kCustom, calls=%fused
  %twice = f32[8,2]{1,0} fusion(%a, %b), kind=kCustom, calls=%fused
  %x = f32[5,3,2]{2,1,0} broadcast(%a), dimensions={}
  %dot.2 = f32[5,3,3]{2,1,0} dot(%x, %x), lhs_batch_dims={0}, lhs_contracting_dims={2}, rhs_batch_dims={0}, rhs_contracting_dims={2}
  ROOT %while.1 = f32[7]{0} while(%s), condition=%more, body=%inner, backend_config={"known_trip_count":{"n":"3"}}
}

ENTRY %main (in: f32[8,4]) -> f32[8,4] {
  ROOT %while.2 = (f32[8,4]{1,0}, f32[4,2]{1,0}) while(%start), condition=%more, body=%body
}
`

func TestOfUpdate(t *testing.T) {
	p, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.ofUpdate(true)
	if err != nil {
		t.Fatal(err)
	}
	want := map[product]float64{
		{lhs: "8,4", rhs: "4,2", lhsSum: "1", rhsSum: "0"}:                                   2,
		{lhs: "5,3,2", rhs: "5,3,2", lhsSum: "2", rhsSum: "2", lhsBatch: "0", rhsBatch: "0"}: 1,
		{lhs: "7", rhs: "7,7", lhsSum: "0", rhsSum: "0"}:                                     3,
		{lhs: "8,4", rhs: "8,4", lhsSum: "1", rhsSum: "1"}:                                   1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for one, operations := range map[product]float64{
		{lhs: "8,4", rhs: "4,2", lhsSum: "1", rhsSum: "0"}:                                   2 * 8 * 4 * 2,
		{lhs: "5,3,2", rhs: "5,3,2", lhsSum: "2", rhsSum: "2", lhsBatch: "0", rhsBatch: "0"}: 2 * 5 * 3 * 2 * 3,
	} {
		if got := one.operations(); got != operations {
			t.Errorf("%+v: %g operations, want %g", one, got, operations)
		}
	}
	if _, err := p.ofUpdate(false); err == nil {
		t.Error("a loop of unknown length with products was counted")
	}
}

// The products that XLA keeps of soft actor-critic's update are those that its equations
// need: the numbers of operations agree, with the policy in every update and in every
// third, in one cycle of these and in a loop of two.
func TestProgramOfSAC(t *testing.T) {
	folder := t.TempDir() // one for all: XLA reads its flags once
	t.Setenv("XLA_FLAGS", dumpFlags(folder))
	for _, c := range []struct{ delay, fused int }{{1, 2}, {3, 3}, {3, 6}, {3, 4}} {
		t.Run(fmt.Sprintf("delay %d, %d fused", c.delay, c.fused), func(t *testing.T) { programOfSAC(t, folder, c.delay, c.fused) })
	}
}

func programOfSAC(t *testing.T, folder string, delay, fused int) {
	cfg, err := experiments.Builtin().Resolve("walker2d/sac-sb3", []string{
		"schedule.batch_size=32", fmt.Sprintf("schedule.fused_updates=%d", fused), fmt.Sprintf("agent.policy_delay=%d", delay),
	})
	if err != nil {
		t.Fatal(err)
	}
	agent := cfg.Agent.Value.(sac.Config)
	learner, err := agent.Make(agents.Task{
		Backend: enginetest.Compiled(t), Spec: task, Policy: cfg.Policy.Value, Schedule: cfg.Schedule, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer learner.Close()
	counts, err := productsOf(folder, agent, fused)
	if err != nil {
		t.Fatal(err)
	}
	got := 0.0
	for one, times := range counts {
		got += times * one.operations()
	}
	want := needed(agent.Critic, 32, 1/float64(delay))
	if math.Abs(got-want) > 0.02*want {
		t.Errorf("%g operations, want %g", got, want)
	}
}

// needed is the number of operations of an update's products, for twin critics with
// targets and a policy network of the critics' sizes, which a share of updates update.
func needed(net nn.Network, b int, share float64) (sum float64) {
	obs, act := task.ObsDim, task.ActDim
	add := func(in, out int, times float64, weights, input bool) {
		sizes := append(append([]int{in}, net.Hidden...), out)
		for i := range len(sizes) - 1 {
			one := 2 * float64(b*sizes[i]*sizes[i+1]) * times
			sum += one
			if weights {
				sum += one
			}
			if input && i > 0 {
				sum += one
			}
		}
	}
	add(obs, 2*act, 1, false, false)                    // next actions
	add(obs+act, 1, 2, false, false)                    // targets
	add(obs+act, 1, 2, true, true)                      // critics
	add(obs, 2*act, share, true, true)                  // policy
	add(obs+act, 1, 2*share, false, true)               // its value and slope
	return sum + 2*float64(2*b*net.Hidden[0]*act)*share // the slope's last product
}
