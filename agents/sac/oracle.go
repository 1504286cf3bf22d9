package sac

import (
	"errors"
	"fmt"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/random"
)

// An Oracle is an agents.Oracle with one set of graphs compiled per batch size.
type Oracle struct {
	sac           *Learner
	batches       agents.Batches
	drawn, greedy *model.Exec
	both          *model.Exec // replaces the other two if greedy actions come from the policy's draw
}

var _ agents.Oracle = (*Oracle)(nil)

// Oracle compiles the graphs for batches of the given sizes.
func (s *Learner) Oracle(sizes []int) (agents.Oracle, error) {
	o, err := newOracle(s, sizes)
	if err != nil {
		return nil, err
	}
	return o, nil
}

func newOracle(s *Learner, sizes []int) (*Oracle, error) {
	batches, err := agents.NewBatches(sizes)
	if err != nil {
		return nil, fmt.Errorf("sac: oracle: %w", err)
	}
	o := &Oracle{sac: s, batches: batches}
	graphs := map[**model.Exec]func(*model.Scope, *Node, *Node, *Node) []*Node{&o.drawn: s.drawnGraph, &o.greedy: s.chosenGraph}
	if _, ok := s.policy.(policies.Chooser); ok {
		// Samplers are slow to compile, so one graph serves both.
		graphs = map[**model.Exec]func(*model.Scope, *Node, *Node, *Node) []*Node{&o.both: s.bothGraph}
	}
	for exec, graph := range graphs {
		var err error
		if *exec, err = model.NewExec(s.backend, s.Store(), graph); err == nil {
			err = o.compile(*exec)
		}
		if err != nil {
			o.Close()
			return nil, fmt.Errorf("sac: oracle: %w", err)
		}
	}
	return o, nil
}

func (o *Oracle) compile(exec *model.Exec) error {
	for _, n := range o.batches.Sizes {
		if _, err := exec.Compile(o.sac.actingShapes(n)...); err != nil {
			return fmt.Errorf("batch of %d: %w", n, err)
		}
	}
	return nil
}

// Batch is the largest number of rows computed in one call.
func (o *Oracle) Batch() int { return o.batches.Largest() }

// Ask answers obs [n*S], for any n; it pads batches with zeros. Random draws depend on
// seed, call and row. If the networks overflow on an observation, its answer is not
// finite; other rows are not affected.
func (o *Oracle) Ask(obs []float32, greedy bool, seed, call uint64) (agents.Answer, error) {
	var all agents.Answer
	err := o.batches.Each(obs, o.sac.spec.ObsDim, func(first, rows, size int, batch []float32) error {
		k := random.KeyOf(random.Mix(seed, call), oracleStream, uint64(first))
		return o.ask(&all, batch, rows, size, greedy, k)
	})
	if err != nil {
		return agents.Answer{}, fmt.Errorf("sac: oracle: %w", err)
	}
	return all, nil
}

// ask appends the answers to the first n rows of a batch of a size.
func (o *Oracle) ask(all *agents.Answer, batch []float32, n, size int, greedy bool, k [3]uint64) error {
	if err := o.sac.packed.Unpack(); err != nil {
		return err
	}
	exec := o.both
	switch {
	case exec != nil:
	case greedy:
		exec = o.greedy
	default:
		exec = o.drawn
	}
	out, err := exec.Call(o.sac.progress, tensors.FromFlatDataAndDimensions(k[:], 3), tensors.FromFlatDataAndDimensions(batch, size, o.sac.spec.ObsDim))
	if err != nil {
		return err
	}
	var to []*[]float32 // where to append each output
	switch {
	case o.both != nil && greedy:
		to = []*[]float32{nil, &all.Entropy, nil, &all.Action, nil, &all.Value}
	case o.both != nil:
		to = []*[]float32{&all.Action, &all.Entropy, &all.LogProb, nil, &all.Value, nil}
	case greedy:
		to = []*[]float32{&all.Action, &all.Entropy, &all.Value}
	default:
		to = []*[]float32{&all.Action, &all.Entropy, &all.LogProb, &all.Value}
	}
	for i, t := range out {
		if to[i] != nil {
			rows := n
			if to[i] == &all.Action {
				rows *= o.sac.spec.ActDim
			}
			err = errors.Join(err, tensors.ConstFlatData(t, func(flat []float32) { *to[i] = append(*to[i], flat[:rows]...) }))
		}
		t.FinalizeAll()
	}
	return err
}

// Draws reports whether even greedy actions are random, so that they depend on the seed
// and the position in a batch. Those of particle policies are.
func (o *Oracle) Draws() (bool, error) {
	obs := make([]float32, 2*o.sac.spec.ObsDim)
	first, err := o.Ask(obs, true, 1, 0)
	if err != nil {
		return false, err
	}
	second, err := o.Ask(obs, true, 2, 0)
	return !slices.Equal(first.Action, second.Action), err
}

// Close frees the Oracle's compiled graphs, but not the learner's.
func (o *Oracle) Close() {
	for _, exec := range []*model.Exec{o.drawn, o.greedy, o.both} {
		if exec != nil {
			exec.Finalize()
		}
	}
}

// drawnGraph maps obs [N, S] to actions drawn as in actGraph, [N, A], the policy's
// entropy, the actions' log-probabilities and their values, [N] each. Without critics it
// omits the values.
func (s *Learner) drawnGraph(scope *model.Scope, progress, k, obs *Node) []*Node {
	q := s.query(scope, s.trained(), obs, random.NewKey(k), progress)
	d, one := s.drawOne(q)
	return append([]*Node{one.Action, Neg(meanAlive(d.LogProb, d.Alive)), one.LogProb}, s.valuesOf(q, one.Action)...)
}

// chosenGraph is drawnGraph for greedy actions, without log-probabilities.
func (s *Learner) chosenGraph(scope *model.Scope, progress, k, obs *Node) []*Node {
	action := s.greedyGraph(scope, []*Node{progress, k, obs})[0]
	// Policies fold this key to draw their candidates. With the same key they are the
	// same particles, and the engine computes them once.
	q := s.query(scope, s.trained(), obs, random.NewKey(k).Fold(0), progress)
	d := s.policy.Sample(q)
	return append([]*Node{action, Neg(meanAlive(d.LogProb, d.Alive))}, s.valuesOf(q, action)...)
}

// bothGraph is drawnGraph with the greedy actions of the same draw before the values, and
// their values at the end.
func (s *Learner) bothGraph(scope *model.Scope, progress, k, obs *Node) []*Node {
	q := s.query(scope, s.trained(), obs, random.NewKey(k), progress)
	d, one := s.drawOne(q)
	best := s.policy.(policies.Chooser).Choose(q, d)
	return append([]*Node{one.Action, Neg(meanAlive(d.LogProb, d.Alive)), one.LogProb, best}, s.valuesOf(q, one.Action, best)...)
}

// valuesOf are min_k Q_k of one action a state each, [N, A] -> [N]; none without critics.
func (s *Learner) valuesOf(q policies.Query, actions ...*Node) (all []*Node) {
	if s.needs(s.asked()) != nil {
		return nil
	}
	for _, action := range actions {
		all = append(all, Squeeze(q.Value(InsertAxes(action, 1)), 1))
	}
	return all
}
