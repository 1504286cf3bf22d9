package sac

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
)

// twin is the number of critics.
const twin = 2

// critics are the twin critic networks. The first layer handles states and actions
// separately. The state part is computed once for any number of actions, and no
// Concatenate comes between value and action: samplers differentiate twice with respect
// to the action.
type critics struct {
	net     nn.Network
	believe string // Config.Value
	scope   *model.Scope
}

// critics returns the networks in scope.
func (s *Learner) critics(scope *model.Scope) critics {
	return critics{s.cfg.Critic, s.cfg.Value, scope}
}

// first is the first layer of critic k before its activation, split into a part of the
// states, [N, S] -> [N, H], and one of the actions, [..., A] -> [..., H].
func (c critics) first(k int, obs, action *Node, how nn.Statistics) (state, act *Node) {
	scope, width := c.scope.At("q%d", k), c.net.Hidden[0]
	fanIn := obs.Shape().Dim(-1) + action.Shape().Dim(-1)
	state = c.net.Dense(scope.At("of_obs"), obs, width, fanIn, true, how)
	return state, c.net.Dense(scope.At("of_action"), action, width, fanIn, false, how)
}

// after computes the value from the sum of the parts of first, [N, H] -> [N].
func (c critics) after(k int, x *Node, how nn.Statistics) *Node {
	scope := c.scope.At("q%d", k)
	rest := c.net
	rest.Hidden = c.net.Hidden[1:]
	x = c.net.Activate(scope.At("first"), x)
	return Squeeze(rest.Apply(scope.At("rest"), x, 1, how), -1)
}

// Each returns the value by each critic, [B, M], for obs [B, S] and actions [B, M, A].
// Batch normalisation uses its running statistics.
func (c critics) Each(obs, action *Node) [twin]*Node { return c.each(obs, action, nn.Statistics{}) }

func (c critics) each(obs, action *Node, how nn.Statistics) (q [twin]*Node) {
	b, m := action.Shape().Dim(0), action.Shape().Dim(1)
	for k := range q {
		state, act := c.first(k, obs, action, how)
		x := Reshape(Add(InsertAxes(state, 1), act), b*m, -1) // [B*M, H]
		q[k] = Reshape(c.after(k, x, how), b, m)
	}
	return q
}

// Joint evaluates transitions and their successors in one pass, so that batch
// normalisation uses the statistics of both (Bhatt et al. 2024, section 4). obs [B, S]
// and action [B, A] give now [B]; next [B, S] and ahead [B, M, A] give then [B, M], which
// has no gradient. The statistics include only the first particle of each state; they are
// applied to all. Dead particles (false in alive, bool [B, M] or nil) do not count.
func (c critics) Joint(obs, action, next, ahead, alive *Node) (now, then [twin]*Node) {
	b, m := ahead.Shape().Dim(0), ahead.Shape().Dim(1)
	how := nn.Statistics{Learn: true, Maps: nn.Maps{}}
	if alive != nil {
		ahead = Where(InsertAxes(alive, -1), ahead, ZerosLike(ahead))
		how.Weight = halves(Squeeze(Slice(alive, AxisRange(), AxisRange(0, 1)), 1))
	}
	first := Squeeze(Slice(ahead, AxisRange(), AxisRange(0, 1)), 1) // [B, A]
	bothObs, bothActions := Concatenate([]*Node{obs, next}, 0), Concatenate([]*Node{action, first}, 0)
	for k := range now {
		state, act := c.first(k, bothObs, bothActions, how)
		q := c.after(k, Add(state, act), how) // [2B]
		now[k], then[k] = Slice(q, AxisRange(0, b)), InsertAxes(Slice(q, AxisRange(b)), 1)
	}
	if m > 1 {
		others := c.each(next, Slice(ahead, AxisRange(), AxisRange(1)), nn.Statistics{Maps: how.Maps})
		for k := range then {
			then[k] = Concatenate([]*Node{then[k], others[k]}, 1)
		}
	}
	return now, then
}

// halves is the weights of Joint's rows, [2B], sum 1. Transitions and successors have the
// same total weight, except for dead successors (false in alive, bool [B]).
func halves(alive *Node) *Node {
	living := ConvertDType(StopGradient(alive), dtypes.Float32)
	both := Concatenate([]*Node{OnesLike(living), living}, 0)
	return Div(both, ReduceAllSum(both))
}

// Value combines both critics' values by Config.Value, obs [B, S], actions [B, M, A] ->
// [B, M].
func (c critics) Value(obs, action *Node) *Node { return c.believed(c.Each(obs, action)) }

// believed combines two values into one by Config.Value.
func (c critics) believed(q [twin]*Node) *Node {
	if c.believe == "mean" {
		return DivScalar(Add(q[0], q[1]), 2.0)
	}
	return Min(q[0], q[1])
}
