package td3

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
)

// The scopes of the parts. Targets are in a copy below targetScope.
const (
	actorScope  = "actor"
	criticScope = "critic"
	targetScope = "target"
	adamEpsilon = 1e-8
)

// The inputs of an update's graph.
const (
	inObs      = iota // [B, S]
	inAction          // [B, A]
	inNext            // [B, S]
	inReward          // [B]
	inDiscount        // [B], γⁿ, and 0 where the episode terminated
	inWeight          // [B], importance
	inNoise           // [B, A], standard normal
	inCount
)

// actor is μ(s) by the network in a scope, [B, S] -> [B, A].
func (s *Learner) actor(scope *model.Scope, obs *Node) *Node {
	return Tanh(s.cfg.Actor.Apply(scope.At(actorScope), obs, s.spec.ActDim, nn.Statistics{}))
}

// critic is Q_k(s, a) by the network in a scope, [B].
func (s *Learner) critic(scope *model.Scope, k int, obs, action *Node) *Node {
	x := Concatenate([]*Node{obs, action}, -1)
	return Squeeze(s.cfg.Critic.Apply(scope.At(criticScope).At("q%d", k), x, 1, nn.Statistics{}), -1)
}

// step builds one update of the critics and, if delayed is set, of the actor and all
// targets.
//
//	a' = clip(μ'(s') + clip(σ·noise, −c, c), −1, 1)
//	y = r + γ·min_k Q'_k(s', a'),   critics: Σ_k mean (Q_k(s, a) − y)²
//	actor: −mean Q_0(s, μ(s)), by the updated critic
//
// If a number is not finite, no variable changes and ok is false.
func (s *Learner) step(scope *model.Scope, in []*Node, delayed bool) (ok, absError *Node, stats map[string]*Node) {
	before := nn.Remember(s.store, in[inObs].Graph())
	adam := nn.Adam{Epsilon: adamEpsilon}
	target := scope.At(targetScope)
	noise := ClipScalar(MulScalar(in[inNoise], s.cfg.TargetNoise), -s.cfg.NoiseClip, s.cfg.NoiseClip)
	ahead := ClipScalar(Add(s.actor(target, in[inNext]), noise), -1, 1)
	least := Min(s.critic(target, 0, in[inNext], ahead), s.critic(target, 1, in[inNext], ahead))
	y := StopGradient(Add(in[inReward], Mul(in[inDiscount], least)))

	first := s.critic(scope, 0, in[inObs], in[inAction])
	e0, e1 := Sub(first, y), Sub(s.critic(scope, 1, in[inObs], in[inAction]), y)
	loss := ReduceAllMean(Mul(in[inWeight], Add(Square(e0), Square(e1))))
	norm := adam.Step(scope, nn.Part{Scope: criticScope, Loss: loss, Rate: s.cfg.CriticLR})
	absError = MulScalar(Add(Abs(e0), Abs(e1)), 0.5)
	ok = And(IsFinite(loss), IsFinite(norm))
	stats = map[string]*Node{
		"train/critic_loss": loss, "train/q_mean": ReduceAllMean(first), "train/td_error": ReduceAllMean(absError), "train/grad_norm_critic": norm,
	}
	if delayed {
		loss := Neg(ReduceAllMean(s.critic(scope, 0, in[inObs], s.actor(scope, in[inObs]))))
		norm := adam.Step(scope, nn.Part{Scope: actorScope, Loss: loss, Rate: s.cfg.ActorLR})
		ok = And(ok, And(IsFinite(loss), IsFinite(norm)))
		stats["train/actor_loss"], stats["train/grad_norm_actor"] = loss, norm
		for _, target := range s.targets() {
			target.Follow(in[inObs].Graph(), s.cfg.Tau)
		}
	}
	before.Unless(ok)
	return ok, absError, stats
}

// targets are the target networks of actor and critics.
func (s *Learner) targets() []nn.Copy {
	copyOf := func(part string) nn.Copy {
		return nn.Copy{Store: s.store, From: part, To: targetScope + "/" + part}
	}
	return []nn.Copy{copyOf(actorScope), copyOf(criticScope)}
}
