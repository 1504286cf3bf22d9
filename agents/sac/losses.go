package sac

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/random"
)

// The scopes of the learner: one for each part that is trained by its own optimiser, one
// for the target critics, and one for each of the averages of policy and critics.
const (
	criticScope  = "critic"
	targetScope  = "target"
	policyScope  = "policy"
	averageScope = "average"
	alphaScope   = "alpha"
	steadyScope  = "steady_critic" // the average of the critics
)

// minibatch is the part of a replay.Batch that one update uses, as nodes.
type minibatch struct {
	obs, action, next        *Node // [B, S], [B, A], [B, S]
	reward, discount, weight *Node // [B]
}

// figures maps the names of recorded metrics to scalars.
type figures map[string]*Node

// criticLoss is Σ_k (Q_k(s, a) − y)²/2, scalar, with
//
//	y = r + γᵏ·mean over particles of [min_k Q'_k(s', a') − α log π(a'|s')]
//
// or with the soft value of Config.Target in place of the mean. Q' are the target
// networks; without them, the critics themselves, evaluated in one pass with Q and without
// a gradient. With value: mean, the mean of both replaces min_k. absError is |Q − y|, mean
// over the critics, [B].
func (s *Learner) criticLoss(scope *model.Scope, b minibatch, next policies.Query, stats figures) (loss, absError *Node) {
	ahead := s.sample(next, s.cfg.Target == "particles")
	online := s.critics(scope.At(criticScope))
	var q [twin]*Node // [B]
	var value *Node   // [B, M]
	if s.cfg.Tau != nil {
		value = s.critics(scope.At(targetScope)).Value(b.next, ahead.Action)
		for k, x := range online.Each(b.obs, InsertAxes(b.action, 1)) {
			q[k] = Squeeze(x, 1)
		}
	} else {
		var then [twin]*Node
		q, then = online.Joint(b.obs, b.action, b.next, StopGradient(ahead.Action), ahead.Alive)
		value = online.believed(then)
	}
	soft := s.softValue(value, ahead, next.Alpha, stats) // [B]
	y := StopGradient(Add(b.reward, Mul(b.discount, soft)))
	var squares *Node
	for k := range q {
		err := Sub(q[k], y) // [B]
		squares, absError = plus(squares, Square(err)), plus(absError, Abs(err))
	}
	absError = DivScalar(absError, float64(twin))
	loss = MulScalar(ReduceAllMean(Mul(b.weight, squares)), 0.5)
	stats["train/critic_loss"] = loss
	stats["train/q_mean"] = ReduceAllMean(q[0])
	stats["train/td_error"] = ReduceAllMean(absError)
	return loss, absError
}

// sample draws from the policy, or if not moved, from its start distribution.
func (s *Learner) sample(q policies.Query, moved bool) policies.Draw {
	if moved {
		return s.policy.Sample(q)
	}
	return s.policy.(policies.Starter).Start(q)
}

// softValue is the mean of Q − α log π over a draw's living particles, [B, M] -> [B], or
// with Config.Target importance, logNormaliser.
func (s *Learner) softValue(value *Node, draw policies.Draw, alpha *Node, stats figures) *Node {
	if s.cfg.Target == "importance" {
		return logNormaliser(value, draw.LogProb, alpha, stats)
	}
	return meanAlive(Sub(value, Mul(alpha, draw.LogProb)), draw.Alive)
}

// logNormaliser is α·log mean_m exp((Q_m − α·log q_m)/α), [B, M] -> [B]: the log-normaliser
// of exp(Q/α) times α, by importance sampling from q. The logarithm biases it downwards,
// less with more draws; policy/target_ess is the effective sample size.
func logNormaliser(value, logQ, alpha *Node, stats figures) *Node {
	logW := Sub(Div(value, alpha), logQ) // [B, M]
	top := ReduceAndKeep(logW, ReduceMax, -1)
	w := Exp(Sub(logW, top))
	sum := ReduceSum(w, -1) // [B]
	stats["policy/target_ess"] = ReduceAllMean(Div(Square(sum), ReduceSum(Square(w), -1)))
	mean := MulScalar(sum, 1/float64(value.Shape().Dim(-1)))
	return Mul(alpha, Add(Log(mean), Squeeze(top, -1)))
}

// policyLoss is E[α log π(a|s) − min_k Q_k(s, a)] with the updated critics, scalar, for
// the states obs [B, S] or the first Config.PolicyStates of them. entropy is that of the
// draw, nats, scalar without gradient. ask makes the query for states.
func (s *Learner) policyLoss(scope *model.Scope, obs *Node, ask func(obs *Node) policies.Query, stats figures) (loss, entropy *Node) {
	few := obs
	if n := s.cfg.PolicyStates; n > 0 && n < obs.Shape().Dim(0) {
		few = Slice(obs, AxisRange(0, n))
	}
	switch s.cfg.PolicyLoss {
	case "split":
		start := ask(obs)
		start.Particles = 1 // draws of the start are identically distributed
		loss, entropy = s.freeEnergy(scope, start, s.sample(start, false), stats)
		moved := ask(few)
		moved.Key, moved.Learn, moved.HoldStart = moved.Key.Fold(0), false, true
		of, moving := s.freeEnergy(scope, moved, s.sample(moved, true), stats)
		stats["policy/particles_entropy"] = moving
		loss = Add(loss, of)
	default:
		q := ask(few)
		loss, entropy = s.freeEnergy(scope, q, s.sample(q, s.cfg.PolicyLoss == "particles"), stats)
	}
	stats["train/actor_loss"] = loss
	stats["train/entropy"] = entropy
	return loss, entropy
}

// freeEnergy is E[α log π(a|s) − min_k Q_k(s, a)] of a draw, scalar, and its entropy,
// nats, scalar without gradient.
func (s *Learner) freeEnergy(scope *model.Scope, q policies.Query, draw policies.Draw, stats figures) (mean, entropy *Node) {
	value := s.critics(scope.At(criticScope)).Value(q.Obs, draw.Action) // [B, M]
	mean = ReduceAllMean(meanAlive(Sub(Mul(q.Alpha, draw.LogProb), value), draw.Alive))
	for name, x := range draw.Stats {
		stats["policy/"+name] = x
	}
	return mean, StopGradient(Neg(ReduceAllMean(meanAlive(draw.LogProb, draw.Alive))))
}

// alphaLoss is a scalar whose minimisation lowers log α while the entropy is above its
// target.
func (s *Learner) alphaLoss(scope *model.Scope, entropy *Node, stats figures) *Node {
	loss := Mul(s.logAlpha(scope).NodeValue(entropy), AddScalar(entropy, -s.targetEntropy()))
	stats["train/ent_coef_loss"] = loss
	return loss
}

// query makes the query for obs [B, S] to the policy in a scope.
func (s *Learner) query(scope *model.Scope, policy string, obs *Node, key random.Key, progress *Node) policies.Query {
	return policies.Query{
		Scope: scope.At("%s", policy), Key: key, Obs: obs,
		Particles: s.cfg.Particles, ActDim: s.spec.ActDim,
		Value:    func(action *Node) *Node { return s.critics(scope.At("%s", s.asked())).Value(obs, action) },
		Alpha:    s.alpha(scope, obs),
		Progress: progress,
	}
}

// alpha is the temperature, scalar.
func (s *Learner) alpha(scope *model.Scope, like *Node) *Node {
	return StopGradient(Exp(s.logAlpha(scope).NodeValue(like)))
}

// trained is the scope of the policy used for greedy actions: the average, if there is
// one.
func (s *Learner) trained() string {
	if s.cfg.PolicyAverage > 0 {
		return averageScope
	}
	return policyScope
}

// asked is the scope of the critics whose values the policy uses: the average, if there is
// one.
func (s *Learner) asked() string {
	if s.cfg.CriticAverage > 0 {
		return steadyScope
	}
	return criticScope
}

// meanAlive averages x [B, M] over the living particles, to [B]; if alive is nil, over all.
// It is zero for a state without living particles.
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
