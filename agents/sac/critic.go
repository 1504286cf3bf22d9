package sac

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
)

// twin is the number of critics.
const twin = 2

// critics are the values of twin networks. The states' part of the first layer is a
// node of its own: it is worked out once however many actions are asked about, and no
// Concatenate stands between the value and the action, whose gradient's gradient a
// sampler takes.
type critics struct {
	net     nn.Network
	believe string // Config.Value
	scope   *model.Scope
}

// critics are those of a scope.
func (s *Learner) critics(scope *model.Scope) critics {
	return critics{s.cfg.Critic, s.cfg.Value, scope}
}

// first is the first layer of critic k before its activation, apart for what it sees of
// the states, [N, S] -> [N, H], and of the actions, [..., A] -> [..., H].
func (c critics) first(k int, obs, action *Node, how nn.Statistics) (state, act *Node) {
	scope, width := c.scope.At("q%d", k), c.net.Hidden[0]
	fanIn := obs.Shape().Dim(-1) + action.Shape().Dim(-1)
	state = c.net.Dense(scope.At("of_obs"), obs, width, fanIn, true, how)
	return state, c.net.Dense(scope.At("of_action"), action, width, fanIn, false, how)
}

// after is the value of what first gave, [N, H] -> [N].
func (c critics) after(k int, x *Node, how nn.Statistics) *Node {
	scope := c.scope.At("q%d", k)
	rest := c.net
	rest.Hidden = c.net.Hidden[1:]
	x = c.net.Activate(scope.At("first"), x)
	return Squeeze(rest.Apply(scope.At("rest"), x, 1, how), -1)
}

// Each answers obs [B, S] and actions [B, M, A] with the value by each critic, [B, M].
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

// Joint asks about transitions and about what follows them in one pass, so that one
// batch normalises both (Bhatt et al. 2024, section 4): obs [B, S], action [B, A] give
// now [B]; next [B, S], ahead [B, M, A] give then [B, M], which has no gradient of its
// own. The first particle of each state is in that batch; the others are normalised as
// it is. Particles that are not alive, bool [B, M] or nil for all, do not count.
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

// halves are the weights of Joint's rows, [2B], sum 1: transitions and what follows them
// weigh the same, but for what is not alive, bool [B].
func halves(alive *Node) *Node {
	living := ConvertDType(StopGradient(alive), dtypes.Float32)
	both := Concatenate([]*Node{OnesLike(living), living}, 0)
	return Div(both, ReduceAllSum(both))
}

// Value is what is believed of both values, obs [B, S], actions [B, M, A] -> [B, M].
func (c critics) Value(obs, action *Node) *Node { return c.believed(c.Each(obs, action)) }

// believed makes one value of two.
func (c critics) believed(q [twin]*Node) *Node {
	if c.believe == "mean" {
		return DivScalar(Add(q[0], q[1]), 2.0)
	}
	return Min(q[0], q[1])
}
