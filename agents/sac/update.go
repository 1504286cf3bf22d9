package sac

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/random"
)

// An outcome is the result of one update.
type outcome struct {
	ok       *Node // bool, scalar: all numbers were finite
	absError *Node // [B]
	critics  figures
	policy   figures // empty if the policy was not due
}

// step builds one update: the critics, then, if due, policy and temperature with the
// updated critics. If a number is not finite, or alive is false, no variable changes. alive
// is a bool scalar; nil: true.
func (s *Learner) step(scope *model.Scope, b minibatch, key random.Key, progress, alive *Node, due bool) outcome {
	g := b.obs.Graph()
	before := nn.Remember(s.store, g)
	out := outcome{critics: figures{}, policy: figures{}}
	next := s.query(scope, policyScope, b.next, key.Fold(1), progress)
	if s.cfg.TargetParticles > 0 {
		next.Particles = s.cfg.TargetParticles
	}
	out.critics["train/ent_coef"] = next.Alpha
	loss, absError := s.criticLoss(scope, b, next, out.critics)
	out.absError = absError
	out.ok = s.descend(scope, progress, out.critics, nn.Part{Scope: criticScope, Loss: loss, Rate: s.cfg.CriticLR, Clip: s.cfg.GradClip})
	if s.cfg.Tau != nil {
		s.copyOf(criticScope, targetScope).Follow(g, *s.cfg.Tau)
	}
	if s.cfg.CriticAverage > 0 {
		s.copyOf(criticScope, steadyScope).Follow(g, 1-s.cfg.CriticAverage)
	}
	if due {
		out.ok = And(out.ok, s.policyStep(scope, b, key.Fold(0), progress, next.Alpha, out.policy))
	}
	if alive != nil {
		out.ok = And(alive, out.ok)
	}
	before.Unless(out.ok)
	return out
}

// policyStep updates policy, temperature and the policy's average. alpha is the
// temperature before the update.
func (s *Learner) policyStep(scope *model.Scope, b minibatch, key random.Key, progress, alpha *Node, stats figures) (ok *Node) {
	loss, entropy := s.policyLoss(scope, b.obs, func(obs *Node) policies.Query {
		q := s.query(scope, policyScope, obs, key, progress)
		q.Alpha, q.Learn, q.Batch = alpha, true, b.obs
		return q
	}, stats)
	ok = s.descend(scope, progress, stats, nn.Part{Scope: policyScope, Loss: loss, Rate: s.cfg.ActorLR, Clip: s.cfg.GradClip})
	if s.cfg.AutoAlpha {
		alphaLoss := s.alphaLoss(scope, entropy, stats)
		ok = And(ok, s.descend(scope, progress, stats, nn.Part{Scope: alphaScope, Loss: alphaLoss, Rate: s.cfg.AlphaLR}))
	}
	if s.cfg.PolicyAverage > 0 {
		s.copyOf(policyScope, averageScope).Follow(b.obs.Graph(), 1-s.cfg.PolicyAverage)
	}
	return ok
}

// descend takes the gradient step of one part and reports whether loss and gradient were
// finite.
func (s *Learner) descend(scope *model.Scope, progress *Node, stats figures, part nn.Part) (ok *Node) {
	adam := nn.Adam{Epsilon: s.cfg.AdamEps, Beta1: s.cfg.AdamBeta1, Share: s.rateShare(progress)}
	if part.Scope == alphaScope {
		adam.Beta1 = 0.9
	}
	norm := adam.Step(scope, part)
	stats["train/grad_norm_"+part.Scope] = norm
	return And(IsFinite(part.Loss), IsFinite(norm))
}

// rateShare is the schedule's factor of all learning rates; nil: 1.
func (s *Learner) rateShare(progress *Node) *Node {
	if s.cfg.LRSchedule == "linear" {
		return Sub(Const(progress.Graph(), float32(1)), progress)
	}
	return nil
}

// copies are the copies of networks that the settings ask for.
func (s *Learner) copies() (all []nn.Copy) {
	if s.cfg.Tau != nil {
		all = append(all, s.copyOf(criticScope, targetScope))
	}
	if s.cfg.CriticAverage > 0 {
		all = append(all, s.copyOf(criticScope, steadyScope))
	}
	if s.cfg.PolicyAverage > 0 {
		all = append(all, s.copyOf(policyScope, averageScope))
	}
	return all
}

func (s *Learner) copyOf(from, to string) nn.Copy { return nn.Copy{Store: s.store, From: from, To: to} }

// The inputs of the update graph, N = K·B rows in all. The columns of a batch are one
// array, because each array takes time of a call; split splits it.
const (
	inProgress = iota // scalar
	inKeys            // uint64 [K, 3]
	inColumns         // [N·(2S + A + 3)]
	inCount
)

// What split makes of the inputs.
const (
	inObs      = inColumns + iota // [N, S]
	inAction                      // [N, A]
	inNext                        // [N, S]
	inReward                      // [N]
	inDiscount                    // [N]
	inWeight                      // [N]
)

// split splits the columns of the inputs.
func (s *Learner) split(in []*Node) []*Node {
	columns, from := in[inColumns], 0
	rows := columns.Shape().Dim(0) / s.rowSize()
	cut := func(dims ...int) {
		n := rows
		if len(dims) > 1 {
			n *= dims[1]
		}
		in = append(in, Reshape(Slice(columns, AxisRange(from, from+n)), dims...))
		from += n
	}
	in = in[:inColumns:inColumns]
	cut(rows, s.spec.ObsDim)
	cut(rows, s.spec.ActDim)
	cut(rows, s.spec.ObsDim)
	for range 3 { // reward, discount, weight
		cut(rows)
	}
	return in
}

// rowSize is how many numbers of a batch's columns belong to one transition.
func (s *Learner) rowSize() int { return 2*s.spec.ObsDim + s.spec.ActDim + 3 }

// criticGraph makes K updates of the critics alone.
func (s *Learner) criticGraph(scope *model.Scope, in []*Node) []*Node {
	return s.updates(scope, in, []bool{false})
}

// updateGraph makes K updates of critics, policy and temperature.
func (s *Learner) updateGraph(scope *model.Scope, in []*Node) []*Node {
	return s.updates(scope, in, []bool{true})
}

// cycleGraph makes K updates, a multiple of PolicyDelay, the last of each cycle with policy
// and temperature.
func (s *Learner) cycleGraph(scope *model.Scope, in []*Node) []*Node {
	due := make([]bool, s.cfg.PolicyDelay)
	due[len(due)-1] = true
	return s.updates(scope, in, due)
}

// updates makes K updates, one minibatch each, in one call: cycles of len(due) updates, of
// which due names those of policy and temperature. It returns the number of updates before
// the first that was not finite, int32; the sums of the figures over all updates including
// that one, [F] in the order of s.figures; and the |TD error| of every row, [N].
//
// A single cycle needs no loop. The state of several is whether all were finite, the
// results, and the inputs.
func (s *Learner) updates(scope *model.Scope, in []*Node, due []bool) []*Node {
	g := in[0].Graph()
	in = s.split(in)
	k, rows := in[inKeys].Shape().Dim(0), in[inObs].Shape().Dim(0)
	if k == 1 {
		b := minibatch{in[inObs], in[inAction], in[inNext], in[inReward], in[inDiscount], in[inWeight]}
		o := s.step(scope, b, random.NewKey(Reshape(in[inKeys], 3)), in[inProgress], nil, due[0])
		return []*Node{ConvertDType(o.ok, dtypes.Int32), s.stack(o), o.absError}
	}
	state := []*Node{Const(g, true), Const(g, int32(0)), Const(g, make([]float32, len(s.figures))), Const(g, make([]float32, rows))}
	results := len(state)
	if k == len(due) {
		return s.cycle(scope, state, in, rows/k, due)[1:]
	}
	state = nn.Loop(s.store, append(state, in...), func(now []*Node) *Node {
		return And(now[0], LessThan(now[1], Const(now[1].Graph(), int32(k))))
	}, func(now []*Node) []*Node {
		in := now[results:]
		return append(s.cycle(scope, now[:results:results], in, rows/k, due), in...)
	})
	return state[1:results]
}

// cycle makes one update for each of due from updates' state, minibatches of b rows. All
// updates so far were finite.
func (s *Learner) cycle(scope *model.Scope, state, in []*Node, b int, due []bool) []*Node {
	first, alive := state[1], (*Node)(nil)
	for i, policy := range due {
		at := first
		if i > 0 {
			at = Add(first, Const(first.Graph(), int32(i)))
		}
		batch, key, row := minibatchAt(in, at, b)
		o := s.step(scope, batch, key, in[inProgress], alive, policy)
		figures := s.stack(o)
		if alive != nil {
			figures = Where(alive, figures, ZerosLike(figures))
		}
		alive = o.ok
		state = []*Node{
			o.ok, Add(state[1], ConvertDType(o.ok, dtypes.Int32)), Add(state[2], figures),
			DynamicUpdateSlice(state[3], o.absError, []*Node{row}),
		}
	}
	return state
}

// minibatchAt slices the i-th minibatch of b rows and its key from the inputs; at is its
// first row.
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
func (s *Learner) stack(o outcome) *Node {
	all := make([]*Node, len(s.figures))
	for i, name := range s.figures {
		x, ok := o.critics[name]
		if !ok {
			x, ok = o.policy[name]
		}
		if !ok { // of the policy, which was not due
			x = Const(o.ok.Graph(), float32(0))
		}
		all[i] = ConvertDType(x, dtypes.Float32)
	}
	return Stack(all, 0)
}
