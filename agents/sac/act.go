package sac

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/random"
)

func (s *Learner) compileActing() error {
	for _, program := range []*nn.Program{s.acting, s.greedy} {
		if err := program.Compile(s.actingShapes(s.spec.Copies)...); err != nil {
			return err
		}
	}
	return nil
}

// actingShapes are the shapes of the inputs of acting: progress, key, and n observations.
func (s *Learner) actingShapes(n int) []shapes.Shape {
	return []shapes.Shape{shapes.Make(dtypes.Float32), RNGStateShape, shapes.Make(dtypes.Float32, n, s.spec.ObsDim)}
}

// keepPlayed removes the variables that no action of the trained policy needs: those of
// the policy that explores, if there is an average, and of critics that it does not ask.
func (s *Learner) keepPlayed() error {
	return nn.KeepRead(s.backend, s.store, s.actingShapes(1), func(scope *model.Scope, in []*Node) {
		s.greedyGraph(scope, in)
		s.draw(s.query(scope, s.trained(), in[2], random.NewKey(in[1]), in[0]))
	})
}

// needs is an ErrLeftOut if keepPlayed removed the variables of a scope.
func (s *Learner) needs(scope string) error {
	if s.use != agents.ToPlay || nn.Has(s.store, scope) {
		return nil
	}
	return fmt.Errorf("variables in scope %s: %w", scope, agents.ErrLeftOut)
}

// actGraph draws actions, [N, A], from the progress, a key and obs [N, S].
func (s *Learner) actGraph(scope *model.Scope, in []*Node) []*Node {
	progress, key, obs := in[0], in[1], in[2]
	return []*Node{s.draw(s.query(scope, policyScope, obs, random.NewKey(key), progress))}
}

// greedyGraph is actGraph for greedy actions of the trained policy, or draws if it has
// none.
func (s *Learner) greedyGraph(scope *model.Scope, in []*Node) []*Node {
	progress, key, obs := in[0], in[1], in[2]
	q := s.query(scope, s.trained(), obs, random.NewKey(key), progress)
	if p, ok := s.policy.(policies.Greedy); ok {
		return []*Node{p.Greedy(q)}
	}
	return []*Node{s.draw(q)}
}

// draw selects one of the living particles uniformly.
func (s *Learner) draw(q policies.Query) *Node {
	_, chosen := s.drawOne(q)
	return chosen.Action
}

// A chosenDraw is one particle per state.
type chosenDraw struct {
	Action  *Node // [N, A]
	LogProb *Node // [N]
}

// drawOne is draw that also returns all particles.
func (s *Learner) drawOne(q policies.Query) (policies.Draw, chosenDraw) {
	key := q.Key
	q.Key = key.Fold(0)
	d := s.policy.Sample(q)
	n, m, a := d.Action.Shape().Dim(0), d.Action.Shape().Dim(1), d.Action.Shape().Dim(2)
	if m == 1 {
		return d, chosenDraw{Action: Reshape(d.Action, n, a), LogProb: Reshape(d.LogProb, n)}
	}
	chance := key.Fold(1).Uniform(shapes.Make(dtypes.Float32, n, m))
	if d.Alive != nil {
		chance = Where(d.Alive, chance, Sub(chance, OnesLike(chance)))
	}
	chosen := OneHot(ArgMax(chance, -1), m, dtypes.Bool) // [N, M]
	return d, chosenDraw{
		Action:  Reshape(ReduceSum(Where(chosen, d.Action, ZerosLike(d.Action)), 1), n, a),
		LogProb: ReduceSum(Where(chosen, d.LogProb, ZerosLike(d.LogProb)), 1),
	}
}

// Act returns one action per row of obs, [N*S] -> [N*A]. N may vary, but each new N
// compiles a graph. Random draws depend only on the seed and the number of the call.
func (s *Learner) Act(obs []float32, greedy bool) ([]float32, error) {
	n, err := agents.Rows(obs, s.spec.ObsDim)
	if err != nil {
		return nil, fmt.Errorf("sac: %w", err)
	}
	if err := s.needs(policyScope); err != nil && !greedy {
		return nil, fmt.Errorf("sac: exploring: %w", err)
	}
	program, k := s.acting, random.KeyOf(s.seed, actStream, s.state.Acts)
	if greedy {
		program, k = s.greedy, random.KeyOf(s.greedySeed, greedyStream, s.greedyActs)
		s.greedyActs++
	} else {
		s.state.Acts++
	}
	key, states := tensors.FromFlatDataAndDimensions(k[:], 3), tensors.FromFlatDataAndDimensions(obs, n, s.spec.ObsDim)
	out, err := program.Call(s.progress, key, states)
	if err != nil {
		return nil, fmt.Errorf("sac: acting: %w", err)
	}
	defer func() {
		for _, t := range append(out, key, states) {
			t.FinalizeAll()
		}
	}()
	s.action = sized(s.action, n*s.spec.ActDim)
	if err := tensors.ConstFlatData(out[0], func(flat []float32) { copy(s.action, flat) }); err != nil {
		return nil, fmt.Errorf("sac: acting: %w", err)
	}
	if err := agents.CheckActions(s.action, s.spec.ActDim); err != nil {
		return nil, fmt.Errorf("sac: %w", err)
	}
	return s.action, nil
}
