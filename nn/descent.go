package nn

import (
	"errors"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
)

// A Part is one loss and the scope whose variables it trains.
type Part struct {
	Scope string
	Loss  *Node   // scalar
	Rate  float64 // Adam's learning rate, before Share scales it
	Clip  float64 // largest global norm of the gradient; 0: no limit
}

// Adam is the Adam optimiser as PyTorch defines it: Epsilon is added to the square root
// of the bias-corrected second moment.
type Adam struct {
	Epsilon float64
	Beta1   float64 // 0: 0.9
	Share   *Node   // factor on every part's rate from a schedule, scalar float32; nil: 1
}

// Step takes one gradient step of a part and returns the global norm of its gradient
// before clipping, a scalar.
func (a Adam) Step(scope *model.Scope, part Part) (norm *Node) {
	g := part.Loss.Graph()
	scope = scope.At("%s", part.Scope)
	var trained []*model.Variable
	var values []*Node
	for v := range scope.IterVariables() {
		if v.Trainable && v.InUseByGraph(g) {
			trained, values = append(trained, v), append(values, v.NodeValue(g))
		}
	}
	slope := map[*model.Variable]*Node{}
	for i, x := range Gradient(part.Loss, values...) {
		slope[trained[i]] = x
	}
	all := vectors(trained)
	grads := make([]*Node, len(all))
	for i, vector := range all {
		members := make([]*Node, len(vector))
		for j, v := range vector {
			members[j] = slope[v]
		}
		grads[i] = joined(members)
	}
	norm = globalNorm(grads)
	if part.Clip > 0 {
		shrink := MinScalar(Div(Const(g, float32(part.Clip)), MaxScalar(norm, 1e-6)), 1.0)
		for i := range grads {
			grads[i] = Mul(grads[i], shrink)
		}
	}
	steps := optimizer.GetGlobalStepVar(scope.Store())
	steps.SetNodeValue(AddScalar(steps.NodeValue(g), 1))
	step := optimizer.IncrementCounter(scope.At(optimizer.AdamDefaultScope), g, "step", dtypes.Float32)
	a.descend(scope.Store(), all, grads, a.setRate(scope, part.Rate, g), step)
	return norm
}

// descend moves vectors by their gradients; step is the number of the step, float32.
func (a Adam) descend(store *model.Store, all []Vector, grads []*Node, rate, step *Node) {
	g := step.Graph()
	beta1, beta2 := Const(g, float32(a.beta1())), Const(g, float32(0.999))
	unbias1, unbias2 := Reciprocal(OneMinus(Pow(beta1, step))), Reciprocal(OneMinus(Pow(beta2, step)))
	for i, vector := range all {
		var first, second Vector
		for _, v := range vector {
			m1, m2 := moments(store, v)
			first, second = append(first, m1), append(second, m2)
		}
		m1 := Add(Mul(beta1, first.Value(g)), Mul(OneMinus(beta1), grads[i]))
		m2 := Add(Mul(beta2, second.Value(g)), Mul(OneMinus(beta2), Square(grads[i])))
		move := Div(Mul(rate, Mul(m1, unbias1)), AddScalar(Sqrt(Mul(m2, unbias2)), a.Epsilon))
		first.SetValue(m1)
		second.SetValue(m2)
		// Later losses see the updated values as constants: they do not differentiate through
		// this step.
		vector.SetValue(StopGradient(Sub(vector.Value(g), move)))
	}
}

// A Snapshot holds variables as they were before an update.
type Snapshot struct {
	vars   []*model.Variable
	before map[*model.Variable]*Node
}

// Remember takes a Snapshot inside a graph.
func Remember(store *model.Store, g *Graph) Snapshot {
	return remember(g, variables(store))
}

func remember(g *Graph, vars []*model.Variable) Snapshot {
	s := Snapshot{vars, map[*model.Variable]*Node{}}
	for _, v := range vars {
		s.before[v] = v.NodeValue(g)
	}
	return s
}

// changed are the variables that have changed since.
func (s Snapshot) changed() (all []*model.Variable) {
	for _, v := range s.vars {
		if old := s.before[v]; v.NodeValue(old.Graph()) != old {
			all = append(all, v)
		}
	}
	return all
}

// Unless undoes all changes since the Snapshot if ok, a bool scalar, is false.
func (s Snapshot) Unless(ok *Node) {
	for _, vector := range vectors(s.changed()) {
		before := make([]*Node, len(vector))
		for i, v := range vector {
			before[i] = s.before[v]
		}
		vector.SetValue(Where(ok, vector.Value(ok.Graph()), joined(before)))
	}
}

// momentsScope is where GoMLX's Adam keeps both moments of every variable.
const momentsScope = "/" + optimizer.AdamDefaultScope

// ForgetMoments removes Adam's moments, two numbers for each weight, from a store that
// no update will use.
func ForgetMoments(s *model.Store) error { return s.DeleteVariablesInScope(momentsScope) }

// setRate sets and returns the optimiser's learning-rate variable for this step. A resumed
// run uses the rate in its settings, not the one in its checkpoint.
func (a Adam) setRate(scope *model.Scope, rate float64, g *Graph) *Node {
	now := Const(g, float32(rate))
	if a.Share != nil {
		now = Mul(now, a.Share)
	}
	optimizer.LearningRateVar(scope, dtypes.Float32, rate).SetNodeValue(now)
	return now
}

func (a Adam) beta1() float64 {
	if a.Beta1 > 0 {
		return a.Beta1
	}
	return 0.9
}

func globalNorm(grads []*Node) *Node {
	var sum *Node
	for _, x := range grads {
		if sum == nil {
			sum = ReduceAllSum(Square(x))
		} else {
			sum = Add(sum, ReduceAllSum(Square(x)))
		}
	}
	return Sqrt(sum)
}

// errBuilt aborts a graph that is built only to create its variables.
var errBuilt = errors.New("built")

// Create creates the variables that build makes, including the optimisers' own. It builds
// the graph for inputs of the given shapes without compiling it and draws the initial
// values from seed.
func Create(backend compute.Backend, store *model.Store, seed uint64, in []shapes.Shape, build func(*model.Scope, []*Node)) error {
	store.RootScope().SetParam(model.ParamInitialSeed, int64(seed))
	if err := store.SetRNGStateFromSeed(int64(seed)); err != nil {
		return err
	}
	if err := buildOnly(backend, store, in, build); err != nil {
		return err
	}
	return store.InitializeVariables(backend, nil)
}

// KeepRead removes the variables that a graph does not use. It builds the graph for inputs
// of the given shapes without compiling it.
func KeepRead(backend compute.Backend, store *model.Store, in []shapes.Shape, build func(*model.Scope, []*Node)) error {
	var unused []string
	err := buildOnly(backend, store, in, func(scope *model.Scope, in []*Node) {
		build(scope, in)
		for v := range store.IterVariables() {
			if !v.InUseByGraph(in[0].Graph()) {
				unused = append(unused, v.Path())
			}
		}
	})
	for _, path := range unused {
		err = errors.Join(err, store.DeleteVariable(path))
	}
	return err
}

// Has reports whether a scope has variables.
func Has(store *model.Store, scope string) bool {
	some := false
	for range store.Scope(scope).IterVariables() {
		some = true
		break
	}
	return some
}

// buildOnly builds a graph and discards it.
func buildOnly(backend compute.Backend, store *model.Store, in []shapes.Shape, build func(*model.Scope, []*Node)) error {
	done := false
	exec, err := model.NewExec(backend, store, func(scope *model.Scope, in []*Node) []*Node {
		build(scope, in)
		done = true
		panic(errBuilt)
	})
	if err != nil {
		return err
	}
	defer exec.Finalize()
	if _, err = exec.Compile(in...); !done {
		return err
	}
	return nil
}
