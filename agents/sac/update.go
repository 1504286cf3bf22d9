package sac

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/random"
)

// step builds one update of every part, and answers its losses and whether all was
// finite; where it was not, no variable changes.
func (s *Learner) step(scope *model.Scope, b minibatch, key random.Key, progress *Node) (l losses, ok *Node) {
	l = s.losses(scope, b, key, progress)
	sound := And(IsFinite(l.critic), IsFinite(l.policy))
	norms, ok := nn.Adam{Epsilon: s.cfg.AdamEps, Share: s.rateShare(progress)}.Step(s.store, scope, sound, []nn.Part{
		{Scope: criticScope, Loss: l.critic, Rate: s.cfg.CriticLR, Clip: s.cfg.GradClip},
		{Scope: policyScope, Loss: l.policy, Rate: s.cfg.ActorLR, Clip: s.cfg.GradClip},
		{Scope: alphaScope, Loss: l.alpha, Rate: s.cfg.AlphaLR},
	}, func() { s.followCritic(b.obs.Graph()) })
	for name, norm := range norms {
		l.stats["train/grad_norm_"+name] = norm
	}
	return l, ok
}

// rateShare is the schedule's share of every learning rate, nil for all of it.
func (s *Learner) rateShare(progress *Node) *Node {
	if s.cfg.LRSchedule == "linear" {
		return Sub(Const(progress.Graph(), float32(1)), progress)
	}
	return nil
}

// followCritic moves every variable of the target a share Tau towards the critic's.
func (s *Learner) followCritic(g *Graph) {
	for v := range s.store.Scope(criticScope).IterVariables() {
		if !v.Trainable { // the optimiser's live there too
			continue
		}
		target := s.store.GetVariable(targetOf(v))
		old := target.NodeValue(g)
		target.SetNodeValue(Add(old, MulScalar(Sub(v.NodeValue(g), old), s.cfg.Tau)))
	}
}

// targetOf is the path of the target's counterpart of a critic's variable.
func targetOf(v *model.Variable) string {
	return model.JoinPath("/", targetScope, strings.TrimPrefix(v.Path(), "/"+criticScope))
}

// The inputs of the update graph, N = K·B rows in all.
const (
	inProgress = iota // scalar
	inKeys            // uint64 [K, 3]
	inObs             // [N, S]
	inAction          // [N, A]
	inNext            // [N, S]
	inReward          // [N]
	inDiscount        // [N]
	inWeight          // [N]
	inCount
)

// updateGraph does K updates, one minibatch each, in one call. It answers how many
// were done before the first that was not finite, int32; the sum of the figures of
// all, that one included, [F] in the order of s.figures; and every row's |TD error|,
// [N].
//
// One update is built as it is. More are a While whose state is the count, both answers, the inputs and
// all variables. Nothing is captured from outside of its closures, and outside
// every scalar is a Const: the engine's cache of scalars knows no closures, and
// would hand one a node of another.
func (s *Learner) updateGraph(scope *model.Scope, in []*Node) []*Node {
	g := in[0].Graph()
	k, rows := in[inKeys].Shape().Dim(0), in[inObs].Shape().Dim(0)
	if k == 1 {
		b := minibatch{in[inObs], in[inAction], in[inNext], in[inReward], in[inDiscount], in[inWeight]}
		l, ok := s.step(scope, b, random.NewKey(Reshape(in[inKeys], 3)), in[inProgress])
		return []*Node{ConvertDType(ok, dtypes.Int32), s.stack(l), l.absError}
	}
	var vars []*model.Variable
	for v := range s.store.IterVariables() {
		vars = append(vars, v)
	}
	state := []*Node{Const(g, true), Const(g, int32(0)), Const(g, make([]float32, len(s.figures))), Const(g, make([]float32, rows))}
	inputs := len(state)
	state = append(state, in...)
	variables := len(state)
	for _, v := range vars {
		state = append(state, v.NodeValue(g))
	}
	parameters := func(g *Graph) []*Node {
		all := make([]*Node, len(state))
		for i, x := range state {
			all[i] = Parameter(g, fmt.Sprintf("state_%d", i), x.Shape())
		}
		return all
	}
	more := NewClosure(g, func(g *Graph) []*Node {
		now := parameters(g)
		return []*Node{And(now[0], LessThan(now[1], Const(g, int32(k))))}
	})
	body := NewClosure(g, func(g *Graph) []*Node {
		now := parameters(g)
		for i, v := range vars {
			v.SetNodeValue(now[variables+i])
		}
		done, in := now[1], now[inputs:variables]
		b, key, at := minibatchAt(in, done, rows/k)
		l, ok := s.step(scope, b, key, in[inProgress])
		after := []*Node{
			ok, Add(done, ConvertDType(ok, dtypes.Int32)), Add(now[2], s.stack(l)),
			DynamicUpdateSlice(now[3], l.absError, []*Node{at}),
		}
		after = append(after, in...)
		for _, v := range vars {
			after = append(after, v.NodeValue(g))
		}
		return after
	})
	state = While(more, body, state...)
	for i, v := range vars {
		v.SetNodeValue(state[variables+i])
	}
	return state[1:inputs]
}

// minibatchAt cuts the i-th minibatch of b rows and its key out of the inputs; at
// is its first row.
func minibatchAt(in []*Node, i *Node, b int) (batch minibatch, key random.Key, at *Node) {
	at = Mul(i, Const(i.Graph(), int32(b)))
	cut := func(x, at *Node, n int) *Node {
		starts, sizes := []*Node{at}, []int{n}
		if x.Rank() == 2 {
			starts, sizes = append(starts, Const(i.Graph(), int32(0))), append(sizes, x.Shape().Dim(1))
		}
		return DynamicSlice(x, starts, sizes)
	}
	batch = minibatch{
		obs: cut(in[inObs], at, b), action: cut(in[inAction], at, b), next: cut(in[inNext], at, b),
		reward: cut(in[inReward], at, b), discount: cut(in[inDiscount], at, b), weight: cut(in[inWeight], at, b),
	}
	return batch, random.NewKey(Reshape(cut(in[inKeys], i, 1), 3)), at
}

// stack puts the figures of one update in the order of s.figures, [F].
func (s *Learner) stack(l losses) *Node {
	all := make([]*Node, len(s.figures))
	for i, name := range s.figures {
		all[i] = ConvertDType(l.stats[name], dtypes.Float32)
	}
	return Stack(all, 0)
}
