package sac

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/random"
)

// An Oracle answers for a learner with actions and with what the learner thinks of
// them. It works in batches of a few fixed sizes, for which its graphs are compiled
// once. One goroutine uses it and its learner at a time.
type Oracle struct {
	sac           *Learner
	sizes         []int // rows of a batch, rising
	drawn, greedy *model.Exec
	both          *model.Exec // in place of the two, where the best action is one of a draw
	padded        []float32
}

// An Answer is what an Oracle says of n observations. The caller owns it.
type Answer struct {
	Action  []float32 // [n*A], in [−1, 1]
	LogProb []float32 // log π(a|s), [n]; nil for greedy actions, which are not drawn
	Entropy []float32 // of the policy at each state, nats, [n]: from the particles of one draw
	Value   []float32 // min_k Q_k(s, a), [n]
}

// NewOracle compiles the graphs for batches of these sizes.
func NewOracle(s *Learner, sizes []int) (*Oracle, error) {
	sizes = slices.Compact(slices.Sorted(slices.Values(sizes)))
	if len(sizes) == 0 || sizes[0] < 1 {
		return nil, fmt.Errorf("sac: an oracle for batches of %v: want sizes of 1 or more", sizes)
	}
	o := &Oracle{sac: s, sizes: sizes}
	graphs := map[**model.Exec]func(*model.Scope, *Node, *Node, *Node) []*Node{&o.drawn: s.drawnGraph, &o.greedy: s.chosenGraph}
	if _, ok := s.policy.(policies.Chooser); ok {
		// A sampler takes long to compile: it is in one graph, not in two.
		graphs = map[**model.Exec]func(*model.Scope, *Node, *Node, *Node) []*Node{&o.both: s.bothGraph}
	}
	for exec, graph := range graphs {
		var err error
		if *exec, err = model.NewExec(s.backend, s.store, graph); err == nil {
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
	for _, n := range o.sizes {
		if _, err := exec.Compile(shapes.Make(dtypes.Float32), RNGStateShape, shapes.Make(dtypes.Float32, n, o.sac.spec.ObsDim)); err != nil {
			return fmt.Errorf("batch of %d: %w", n, err)
		}
	}
	return nil
}

// Batch is the largest number of rows that are worked out in one call.
func (o *Oracle) Batch() int { return o.sizes[len(o.sizes)-1] }

// Ask answers obs [n*S], any n, filling batches up with zeros. What is drawn follows
// from seed, the call's number and the row. An observation that is too much for the
// networks gets an answer that is not finite, which spoils no other row.
func (o *Oracle) Ask(obs []float32, greedy bool, seed, call uint64) (Answer, error) {
	width := o.sac.spec.ObsDim
	n := len(obs) / width
	if n == 0 || n*width != len(obs) {
		return Answer{}, fmt.Errorf("sac: oracle: %d numbers are no observations of %d", len(obs), width)
	}
	var all Answer
	for from := 0; from < n; from += o.Batch() {
		to := min(n, from+o.Batch())
		k := random.KeyOf(random.Mix(seed, call), oracleStream, uint64(from))
		if err := o.ask(&all, obs[from*width:to*width], to-from, greedy, k); err != nil {
			return Answer{}, fmt.Errorf("sac: oracle: %w", err)
		}
	}
	return all, nil
}

// ask adds the answer to n observations, at most a batch.
func (o *Oracle) ask(all *Answer, obs []float32, n int, greedy bool, k [3]uint64) error {
	at, _ := slices.BinarySearch(o.sizes, n)
	size, width := o.sizes[at], o.sac.spec.ObsDim
	if size > n {
		o.padded = sized(o.padded, size*width)
		clear(o.padded[copy(o.padded, obs):])
		obs = o.padded
	}
	exec := o.both
	switch {
	case exec != nil:
	case greedy:
		exec = o.greedy
	default:
		exec = o.drawn
	}
	out, err := exec.Call(o.sac.progress, tensors.FromFlatDataAndDimensions(k[:], 3), tensors.FromFlatDataAndDimensions(obs, size, width))
	if err != nil {
		return err
	}
	to := []*[]float32{&all.Action, &all.Entropy, &all.Value, &all.LogProb}
	if o.both != nil && greedy {
		to = []*[]float32{nil, &all.Entropy, nil, nil, &all.Action, &all.Value}
	}
	for i, t := range out {
		if i < len(to) && to[i] != nil {
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

// Draws says whether even the greedy actions are drawn, so that they depend on the
// seed and on the place in a batch: those of particles are.
func (o *Oracle) Draws() (bool, error) {
	obs := make([]float32, 2*o.sac.spec.ObsDim)
	first, err := o.Ask(obs, true, 1, 0)
	if err != nil {
		return false, err
	}
	second, err := o.Ask(obs, true, 2, 0)
	return !slices.Equal(first.Action, second.Action), err
}

// Close frees what was compiled, the learner's own excepted.
func (o *Oracle) Close() {
	for _, exec := range []*model.Exec{o.drawn, o.greedy, o.both} {
		if exec != nil {
			exec.Finalize()
		}
	}
}

// drawnGraph answers obs [N, S] with actions drawn as by actGraph, [N, A], the
// policy's entropy, the actions' values and their log-probabilities, [N] each.
func (s *Learner) drawnGraph(scope *model.Scope, progress, k, obs *Node) []*Node {
	q := s.query(scope, s.trained(), obs, random.NewKey(k), progress)
	d, one := s.drawOne(q)
	return []*Node{one.Action, Neg(meanAlive(d.LogProb, d.Alive)), valueOf(q, one.Action), one.LogProb}
}

// chosenGraph is drawnGraph for the policy's best actions, without log-probabilities.
func (s *Learner) chosenGraph(scope *model.Scope, progress, k, obs *Node) []*Node {
	action := s.greedyGraph(scope, progress, k, obs)
	// The key that policies fold to draw what they choose from: the same particles,
	// which the engine then works out once.
	q := s.query(scope, s.trained(), obs, random.NewKey(k).Fold(0), progress)
	d := s.policy.Sample(q)
	return []*Node{action, Neg(meanAlive(d.LogProb, d.Alive)), valueOf(q, action)}
}

// bothGraph is drawnGraph, then the best actions of the same draw and their values.
func (s *Learner) bothGraph(scope *model.Scope, progress, k, obs *Node) []*Node {
	q := s.query(scope, s.trained(), obs, random.NewKey(k), progress)
	d, one := s.drawOne(q)
	best := s.policy.(policies.Chooser).Choose(q, d)
	return []*Node{one.Action, Neg(meanAlive(d.LogProb, d.Alive)), valueOf(q, one.Action), one.LogProb, best, valueOf(q, best)}
}

// valueOf is min_k Q_k of one action a state, [N, A] -> [N].
func valueOf(q policies.Query, action *Node) *Node {
	return Squeeze(q.Value(InsertAxes(action, 1)), 1)
}

// Sizes reads from the variables of a learner of this package how many numbers its
// observations and actions have.
func Sizes(store *model.Store) (obsDim, actDim int, err error) {
	rows := func(layer string) int {
		v := store.GetVariable("/" + criticScope + "/q0/" + layer + "/weights")
		if v == nil || v.Shape().Rank() != 2 {
			return 0
		}
		return v.Shape().Dim(0)
	}
	obsDim, actDim = rows("of_obs"), rows("of_action")
	if obsDim == 0 || actDim == 0 {
		return 0, 0, errors.New("sac: no critic among the variables: they are not those of soft actor-critic")
	}
	return obsDim, actDim, nil
}

// Adopt takes the values of all variables from another store, such as a newer
// checkpoint's, which must not be used afterwards. Nothing changes where one is
// missing or has another shape.
func (s *Learner) Adopt(from *model.Store) error {
	for v := range s.store.IterVariables() {
		other := from.GetVariable(v.Path())
		if other == nil {
			return fmt.Errorf("sac: no variable %s: it was written by another model or configuration", v.Path())
		}
		if !other.Shape().Equal(v.Shape()) {
			return fmt.Errorf("sac: variable %s is %s, that of the model %s", v.Path(), other.Shape(), v.Shape())
		}
	}
	for v := range s.store.IterVariables() {
		value, err := from.GetVariable(v.Path()).Value()
		if err == nil {
			err = v.SetValue(value)
		}
		if err != nil {
			return fmt.Errorf("sac: variable %s: %w", v.Path(), err)
		}
	}
	return nil
}

// Weights are the values of what the learner has learned, by the variables' paths:
// policy, critics, their targets, and log α. What optimisers keep is left out.
func (s *Learner) Weights() iter.Seq2[string, *tensors.Tensor] {
	return func(yield func(string, *tensors.Tensor) bool) {
		for v := range s.store.IterVariables() {
			learned := v.Trainable || nn.IsRunning(v) || v.Path() == "/"+alphaScope+"/log_alpha" ||
				strings.HasPrefix(v.Path(), "/"+targetScope+"/") || strings.HasPrefix(v.Path(), "/"+averageScope+"/")
			if learned && !yield(v.Path(), v.MustValue()) {
				return
			}
		}
	}
}
