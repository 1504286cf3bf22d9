package sac

import (
	"maps"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/random"
)

// The scopes of the learner: one for each part that is trained, by its own
// optimiser, and the target critics.
const (
	criticScope = "critic"
	targetScope = "target"
	policyScope = "policy"
	alphaScope  = "alpha"
)

// minibatch is a part of a replay.Batch as nodes: what one update learns from.
type minibatch struct {
	obs, action, next        *Node // [B, S], [B, A], [B, S]
	reward, discount, weight *Node // [B]
}

// losses are what one update minimises, scalars, each over a scope of its own.
type losses struct {
	critic, policy, alpha *Node
	absError              *Node            // |Q − y|, mean over the critics, [B]
	stats                 map[string]*Node // scalars by the name they are recorded under
}

// losses builds all three before anything is updated: every part sees the others
// as they were, and the engine may work on them at the same time.
func (s *Learner) losses(scope *model.Scope, b minibatch, key random.Key, progress *Node) losses {
	l := losses{stats: map[string]*Node{}}
	now := s.query(scope, b.obs, key.Fold(0), progress)
	next := s.query(scope, b.next, key.Fold(1), progress)

	// Critics: Σ_k (Q_k(s, a) − y)²/2, with
	// y = r + γᵏ·mean over particles of [min_k Q'_k(s', a') − α log π(a'|s')]; with
	// value: mean, the mean of both critics stands for the smaller here and below.
	ahead := s.policy.Sample(next)
	target := s.critics(scope.At(targetScope), b.next)
	soft := Sub(target.Value(ahead.Action), Mul(next.Alpha, ahead.LogProb)) // [B, M]
	y := StopGradient(Add(b.reward, Mul(b.discount, meanAlive(soft, ahead.Alive))))
	online := s.critics(scope.At(criticScope), b.obs)
	q := online.Each(InsertAxes(b.action, 1)) // [B, 1] each
	var squares *Node
	for k := range q {
		err := Sub(Squeeze(q[k], 1), y) // [B]
		squares, l.absError = plus(squares, Square(err)), plus(l.absError, Abs(err))
	}
	l.absError = DivScalar(l.absError, float64(twin))
	l.critic = MulScalar(ReduceAllMean(Mul(b.weight, squares)), 0.5)

	// Policy: E[α log π(a|s) − min_k Q_k(s, a)].
	draw := s.policy.Sample(now)
	value := online.Value(draw.Action) // [B, M]
	l.policy = ReduceAllMean(meanAlive(Sub(Mul(now.Alpha, draw.LogProb), value), draw.Alive))

	// Temperature: log α falls while the entropy is above its target.
	entropy := StopGradient(Neg(ReduceAllMean(meanAlive(draw.LogProb, draw.Alive))))
	if s.cfg.AutoAlpha {
		l.alpha = Mul(s.logAlpha(scope).NodeValue(b.obs), AddScalar(entropy, -s.targetEntropy()))
		l.stats["train/ent_coef_loss"] = l.alpha
	}

	l.stats["train/critic_loss"] = l.critic
	l.stats["train/actor_loss"] = l.policy
	l.stats["train/ent_coef"] = now.Alpha
	l.stats["train/entropy"] = entropy
	l.stats["train/q_mean"] = ReduceAllMean(q[0])
	l.stats["train/td_error"] = ReduceAllMean(l.absError)
	for name, x := range draw.Stats {
		l.stats["policy/"+name] = x
	}
	return l
}

// query is what the policy is asked about obs [B, S].
func (s *Learner) query(scope *model.Scope, obs *Node, key random.Key, progress *Node) policies.Query {
	return policies.Query{
		Scope: scope.At(policyScope), Key: key, Obs: obs,
		Particles: s.cfg.Particles, ActDim: s.spec.ActDim,
		Value:    s.critics(scope.At(criticScope), obs).Value,
		Alpha:    StopGradient(Exp(s.logAlpha(scope).NodeValue(obs))),
		Progress: progress,
	}
}

// meanAlive averages x [B, M] over the particles that are alive, all of them where
// alive is nil, to [B]. A state whose particles are all dead counts as zero.
func meanAlive(x, alive *Node) *Node {
	if alive == nil {
		return ReduceMean(x, -1)
	}
	alive = StopGradient(alive) // tests such as IsFinite have no gradient
	count := MaxScalar(ReduceSum(ConvertDType(alive, x.DType()), -1), 1.0)
	return Div(ReduceSum(Where(alive, x, ZerosLike(x)), -1), count)
}

// plus adds x to a sum that is nil before its first term.
func plus(sum, x *Node) *Node {
	if sum == nil {
		return x
	}
	return Add(sum, x)
}

// names of the figures in stats, in order.
func (l losses) names() []string { return slices.Sorted(maps.Keys(l.stats)) }
