// Package policies holds distributions over actions given states.
package policies

import (
	"fmt"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/random"
)

// A Policy is a distribution over actions given states. Its methods build graphs: they
// panic on misuse and have no other side effects.
type Policy interface {
	// Sample draws q.Particles reparameterised actions for every state. It creates
	// variables only under q.Scope, because the policy's optimiser trains that scope.
	Sample(q Query) Draw
}

// NameOf names the kind of a policy for messages: gaussian, flow, stein, or the name of
// your own type.
func NameOf(p Policy) string {
	whole := fmt.Sprintf("%T", p)
	return strings.ToLower(whole[strings.LastIndexByte(whole, '.')+1:])
}

// A Query is a learner's request to a policy. Axes: B states, M particles, S observation
// dimensions, A action dimensions.
type Query struct {
	Scope     *model.Scope
	Key       random.Key // source of all randomness in the draw
	Obs       *Node      // [B, S]
	Particles int        // M
	ActDim    int        // A
	// Value is min_k Q_k(obs, a), [B, M, A] -> [B, M], a in (-1, 1). Only samplers use
	// it.
	Value func(action *Node) *Node
	Alpha *Node // temperature, scalar
	// Progress is the fraction of training completed, scalar in [0, 1].
	Progress *Node
	// Learn is set for the policy's own update: batch normalisation then uses the
	// statistics of the batch and updates the running ones.
	Learn bool
	// Batch is the batch whose statistics Learn uses, [N, S]. Obs are its first rows.
	// nil: Obs.
	Batch *Node
	// HoldStart stops the gradient at a Starter's start distribution, so that only the
	// parameters of the moves learn.
	HoldStart bool
}

// ask applies a network under q.Scope to Obs, [B, out]. If it learns, it normalises by the
// whole Batch.
func (q Query) ask(net nn.Network, name string, out int) *Node {
	if !q.Learn || q.Batch == nil {
		return net.Apply(q.Scope.At("%s", name), q.Obs, out, nn.Statistics{Learn: q.Learn})
	}
	all := net.Apply(q.Scope.At("%s", name), q.Batch, out, nn.Statistics{Learn: true})
	return Slice(all, AxisRange(0, q.Obs.Shape().Dim(0)))
}

// Greedy is implemented by policies with a better action at test time than a sample.
type Greedy interface {
	Greedy(q Query) *Node // [B, A]
}

// Chooser is implemented by Greedy policies that pick the greedy action from their own
// draws, so that one Sample serves both.
type Chooser interface {
	Choose(q Query, drawn Draw) *Node // [B, A]; drawn is from Sample with q.Key.Fold(0)
}

// Starter is implemented by policies that draw from a start distribution and move the
// draws.
type Starter interface {
	Start(q Query) Draw // like Sample, but without the moves
}

// Checker is implemented by policies that do not support every number of particles and
// action dimensions; 0: not known yet.
type Checker interface {
	Check(particles, actDim int) error
}

// A Draw is a policy's answer to a Query.
type Draw struct {
	Action  *Node            // in (-1, 1), [B, M, A]
	LogProb *Node            // [B, M], log-density of Action
	Alive   *Node            // bool [B, M]; nil: every action counts
	Stats   map[string]*Node // scalars to record
}
