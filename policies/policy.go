// Package policies holds distributions over actions given states.
package policies

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/random"
)

// A Policy is a distribution over actions given states. Its methods build graphs:
// they panic on misuse, and touch nothing but the graph.
type Policy interface {
	// Sample draws q.Particles reparameterised actions for every state. Variables
	// live under q.Scope and nowhere else: that is what makes one optimiser train
	// them.
	Sample(q Query) Draw
}

// A Query is what a learner asks a policy. B states, M particles, S observation,
// A action dimensions.
type Query struct {
	Scope     *model.Scope
	Key       random.Key // all randomness of the draw
	Obs       *Node      // [B, S]
	Particles int        // M
	ActDim    int        // A
	// Value is min_k Q_k(obs, a), [B, M, A] -> [B, M], a in (-1, 1). A policy that
	// is no sampler ignores it.
	Value func(action *Node) *Node
	Alpha *Node // temperature, scalar
	// Progress is the share of the training behind us, scalar in [0, 1].
	Progress *Node
	// Learn is set where the draw is for the policy's own update: batch normalisation
	// then takes the statistics of Obs, and moves the running ones.
	Learn bool
	// Batch are the states that Obs are the first ones of, where there are more of them
	// to take those statistics from, [N, S]; nil: there are no more.
	Batch *Node
	// HoldStart keeps the gradient from what a Starter's draws start from: what moves
	// them learns alone.
	HoldStart bool
}

// ask is what a network under q.Scope says of Obs, [B, out]. Where it learns, its batch
// is all of Batch.
func (q Query) ask(net nn.Network, name string, out int) *Node {
	if !q.Learn || q.Batch == nil {
		return net.Apply(q.Scope.At("%s", name), q.Obs, out, nn.Statistics{Learn: q.Learn})
	}
	all := net.Apply(q.Scope.At("%s", name), q.Batch, out, nn.Statistics{Learn: true})
	return Slice(all, AxisRange(0, q.Obs.Shape().Dim(0)))
}

// Greedy is for a policy with a better test-time action than a draw.
type Greedy interface {
	Greedy(q Query) *Node // [B, A]
}

// Chooser is for a Greedy policy whose best action is one of its own draw's: who wants
// that and a draw too has both from one Sample, with the key that Greedy folds.
type Chooser interface {
	Choose(q Query, drawn Draw) *Node // [B, A]; drawn is Sample's with q.Key.Fold(0)
}

// Starter is for a policy whose draws are those of a start that were moved since.
type Starter interface {
	Start(q Query) Draw // as Sample, before any move
}

// Checker is for a policy that can't serve every number of particles and of action
// dimensions; 0: not known yet.
type Checker interface {
	Check(particles, actDim int) error
}

// A Draw is what a policy answers.
type Draw struct {
	Action  *Node            // in (-1, 1), [B, M, A]
	LogProb *Node            // [B, M], density of Action
	Alive   *Node            // bool [B, M]; nil: every action counts
	Stats   map[string]*Node // scalars worth recording
}
