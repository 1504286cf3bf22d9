package policies

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/support/exceptions"

	"github.com/stein-rl/stein/random"
)

// A Choice selects one of M sampled actions at test time.
type Choice struct {
	By string `yaml:"by" want:"softmax|argmax|uniform"`
	// Temperature of the softmax over the critic's values: "1", as in the earlier
	// published code, or "alpha", which draws from exp(Q/α).
	Temperature string `yaml:"temperature" want:"1|alpha"`
}

// Pick returns one of the sampled actions, [B, A], given the critic's values at them.
func (c Choice) Pick(q Query, draw Draw) *Node {
	if c.By == "uniform" {
		return pick(draw, ZerosLike(draw.LogProb), q.Key.Fold(1))
	}
	value := q.Value(draw.Action) // [B, M]
	switch {
	case c.By == "argmax":
		return at(draw.Action, ArgMax(masked(draw, value), -1))
	case c.By == "softmax" && c.Temperature == "1":
		return pick(draw, value, q.Key.Fold(1))
	case c.By == "softmax" && c.Temperature == "alpha":
		return pick(draw, Div(value, q.Alpha), q.Key.Fold(1))
	}
	exceptions.Panicf("policies: choice by %q at temperature %q, want softmax, argmax or uniform at 1 or alpha", c.By, c.Temperature)
	return nil
}

// pick draws one action per state with probability ∝ exp(logits), by the Gumbel-max
// trick: logits [B, M] -> [B, A].
func pick(draw Draw, logits *Node, key random.Key) *Node {
	if draw.Action.Shape().Dim(1) == 1 {
		return Squeeze(draw.Action, 1)
	}
	u := MaxScalar(key.Uniform(logits.Shape()), 1e-30)
	return at(draw.Action, ArgMax(masked(draw, Sub(logits, Log(Neg(Log(u))))), -1))
}

// masked sets x [B, M] of dead particles far below that of living ones.
func masked(draw Draw, x *Node) *Node {
	if draw.Alive == nil {
		return x
	}
	return Where(draw.Alive, x, MulScalar(OnesLike(x), -1e30))
}

// at selects action index [B] of each state: x [B, M, A] -> [B, A].
func at(x, index *Node) *Node {
	hot := GreaterThan(OneHot(index, x.Shape().Dim(1), x.DType()), ZerosLike(ReduceSum(x, -1))) // [B, M]
	// Where rather than a product: a dead particle may be infinite.
	return ReduceSum(Where(BroadcastToShape(InsertAxes(hot, -1), x.Shape()), x, ZerosLike(x)), 1)
}
