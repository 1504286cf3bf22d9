package main

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/replay"
)

// Single holds the settings of a learner with one critic and a fixed temperature.
type Single struct {
	Gamma  float64    `want:"> 0, <= 1"` // discount per environment step
	Alpha  float64    `want:"> 0"`       // entropy temperature
	Rate   float64    `want:"> 0"`       // Adam's, of policy and critic
	Tau    float64    `want:"> 0, <= 1"` // soft update coefficient of the target
	M      int        `want:">= 1"`      // particles
	Critic nn.Network // its keys are hidden, activation and norm
}

// Discount returns how the replay memory sums rewards.
func (c Single) Discount() (gamma float64, steps int) { return c.Gamma, 1 }

// Check reports whether the settings fit a policy.
func (c Single) Check(p policies.Policy) error {
	if p != nil {
		return nil
	}
	return fmt.Errorf("single trains a policy: set policy.kind")
}

// Make builds the learner: its variables now, its graphs on their first call.
func (c Single) Make(t agents.Task) (agents.Learner, error) {
	l := &learner{Single: c, Task: t, store: model.NewStore()}
	err := nn.Create(t.Backend, l.store, t.Seed, l.inputs(2), func(scope *model.Scope, in []*Node) {
		l.value(scope.At("target"), in[1], InsertAxes(in[2], 1))
		nn.Freeze(scope.At("target"))
		l.updateGraph(scope, in)
	})
	if err != nil {
		return nil, fmt.Errorf("single: %w", err)
	}
	l.updating = model.MustNewExec(t.Backend, l.store, l.updateGraph) // fails only if the signature is wrong
	l.acting = model.MustNewExec(t.Backend, l.store, func(scope *model.Scope, key, obs *Node) *Node {
		return Squeeze(Slice(l.draw(scope, random.NewKey(key), obs).Action, AxisRange(), AxisElem(0)), 1) // [N, M, A] -> [N, A]
	})
	return l, nil
}

type learner struct {
	Single
	agents.Task
	store            *model.Store
	updating, acting *model.Exec
	counters         agents.Counters
}

// inputs are the shapes of an update's inputs: key, obs, action, next, reward, discount.
func (l *learner) inputs(n int) []shapes.Shape {
	f := func(dims ...int) shapes.Shape { return shapes.Make(dtypes.Float32, dims...) }
	return []shapes.Shape{shapes.Make(dtypes.Uint64, 3), f(n, l.Spec.ObsDim), f(n, l.Spec.ActDim), f(n, l.Spec.ObsDim), f(n), f(n)}
}

// value is Q of actions [B, M, A] at obs [B, S], [B, M].
func (l *learner) value(scope *model.Scope, obs, action *Node) *Node {
	b, m := action.Shape().Dim(0), action.Shape().Dim(1)
	x := Reshape(Concatenate([]*Node{BroadcastToDims(InsertAxes(obs, 1), b, m, l.Spec.ObsDim), action}, -1), b*m, -1)
	return Reshape(l.Critic.Apply(scope.At("critic"), x, 1, nn.Statistics{}), b, m)
}

// draw samples from the policy at obs [B, S].
func (l *learner) draw(scope *model.Scope, key random.Key, obs *Node) policies.Draw {
	return l.Policy.Sample(policies.Query{
		Scope: scope.At("policy"), Key: key, Obs: obs, Particles: l.M, ActDim: l.Spec.ActDim,
		Value: func(a *Node) *Node { return l.value(scope, obs, a) },
		Alpha: Const(obs.Graph(), float32(l.Alpha)), Progress: Const(obs.Graph(), float32(0)),
	})
}

// updateGraph is one update: critic, policy, target. It returns both losses.
func (l *learner) updateGraph(scope *model.Scope, in []*Node) []*Node {
	key, obs, action, next, reward, discount := random.NewKey(in[0]), in[1], in[2], in[3], in[4], in[5]
	adam, before := nn.Adam{Epsilon: 1e-8}, nn.Remember(l.store, obs.Graph())
	ahead := l.draw(scope, key.Fold(0), next)
	soft := Sub(l.value(scope.At("target"), next, ahead.Action), MulScalar(ahead.LogProb, l.Alpha)) // [B, M]
	y := StopGradient(Add(reward, Mul(discount, ReduceMean(soft, -1))))
	critic := ReduceAllMean(Square(Sub(Squeeze(l.value(scope, obs, InsertAxes(action, 1)), 1), y)))
	norm := adam.Step(scope, nn.Part{Scope: "critic", Loss: critic, Rate: l.Rate, Clip: 10})
	now := l.draw(scope, key.Fold(1), obs)
	policy := ReduceAllMean(Sub(MulScalar(now.LogProb, l.Alpha), l.value(scope, obs, now.Action)))
	norm = Add(norm, adam.Step(scope, nn.Part{Scope: "policy", Loss: policy, Rate: l.Rate, Clip: 10}))
	nn.Copy{Store: l.store, From: "critic", To: "target/critic"}.Follow(obs.Graph(), l.Tau)
	before.Unless(IsFinite(Add(Add(critic, policy), norm)))
	return []*Node{critic, policy}
}

func (l *learner) Act(obs []float32, _ bool) ([]float32, error) {
	key := random.KeyOf(l.Seed, 1, l.counters.Acts)
	l.counters.Acts++
	out, err := l.acting.Call1(key[:], tensors.FromFlatDataAndDimensions(obs, len(obs)/l.Spec.ObsDim, l.Spec.ObsDim))
	if err != nil {
		return nil, fmt.Errorf("single: acting: %w", err)
	}
	return tensors.CopyFlatData[float32](out)
}

func (l *learner) Update(b *replay.Batch) (agents.Metrics, error) {
	m, shapes := agents.Metrics{}, l.inputs(l.Schedule.BatchSize)
	for k := range b.N / l.Schedule.BatchSize { // minibatches
		key := random.KeyOf(l.Seed, 2, l.counters.Updates)
		in := []any{key[:]}
		for i, x := range [][]float32{b.Obs, b.Action, b.Next, b.Reward, b.Discount} {
			size := shapes[i+1].Size()
			in = append(in, tensors.FromFlatDataAndDimensions(x[k*size:(k+1)*size], shapes[i+1].Dimensions...))
		}
		out, err := l.updating.Call(in...)
		if err != nil {
			return nil, fmt.Errorf("single: update %d: %w", l.counters.Updates, err)
		}
		l.counters.Updates++
		for i, name := range []string{"train/critic_loss", "train/actor_loss"} {
			if m[name] = float64(tensors.ToScalar[float32](out[i])); math.IsNaN(m[name]) || math.IsInf(m[name], 0) {
				return nil, fmt.Errorf("single: update %d was undone: %s is %g", l.counters.Updates, name, m[name])
			}
		}
	}
	m["train/n_updates"] = float64(l.counters.Updates)
	return m, nil
}

func (l *learner) Store() *model.Store { return l.store }
func (l *learner) State() any          { return &l.counters }
func (l *learner) Close()              { l.updating.Finalize(); l.acting.Finalize() }
