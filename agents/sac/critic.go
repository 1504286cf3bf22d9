package sac

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
)

// twin is the number of critics.
const twin = 2

// critics are the values of twin networks at actions of given states. The states'
// part of the first layer is a node of its own: it is worked out once however
// many actions are asked about, and no Concatenate stands between the value and
// the action, whose gradient's gradient a sampler takes.
type critics struct {
	net     nn.Network
	believe string // Config.Value
	scope   *model.Scope
	obs     *Node // [B, S]
}

// critics are those of a scope, at obs [B, S].
func (s *Learner) critics(scope *model.Scope, obs *Node) critics {
	return critics{s.cfg.Critic, s.cfg.Value, scope, obs}
}

// Each answers action [B, M, A] with the value by each critic, [B, M].
func (c critics) Each(action *Node) [twin]*Node {
	b, m := action.Shape().Dim(0), action.Shape().Dim(1)
	fanIn := c.obs.Shape().Dim(-1) + action.Shape().Dim(-1)
	width, rest := c.net.Hidden[0], nn.Network{Hidden: c.net.Hidden[1:], Activation: c.net.Activation}
	var q [twin]*Node
	for k := range q {
		scope := c.scope.At("q%d", k)
		ofObs := nn.Linear(scope.At("of_obs"), c.obs, width, fanIn, true)         // [B, H]
		ofAction := nn.Linear(scope.At("of_action"), action, width, fanIn, false) // [B, M, H]
		x := nn.Activate(c.net.Activation, Add(InsertAxes(ofObs, 1), ofAction))
		x = rest.Apply(scope.At("rest"), Reshape(x, b*m, width), 1) // [B*M, 1]
		q[k] = Reshape(x, b, m)
	}
	return q
}

// Value is what is believed of both values, [B, M, A] -> [B, M].
func (c critics) Value(action *Node) *Node {
	q := c.Each(action)
	if c.believe == "mean" {
		return DivScalar(Add(q[0], q[1]), 2.0)
	}
	return Min(q[0], q[1])
}
