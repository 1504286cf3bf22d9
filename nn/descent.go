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
	grads := scope.BuildTrainableVariablesGradientsGraph(part.Loss)
	norm = globalNorm(grads)
	if part.Clip > 0 {
		shrink := MinScalar(Div(Const(g, float32(part.Clip)), MaxScalar(norm, 1e-6)), 1.0)
		for i := range grads {
			grads[i] = Mul(grads[i], shrink)
		}
	}
	a.setRate(scope, part.Rate, g)
	a.optimizer(part.Rate).UpdateGraphWithGradients(scope, grads, dtypes.Float32)
	// Later losses see the updated values as constants: they do not differentiate through
	// this step.
	for v := range scope.IterVariables() {
		if v.Trainable {
			v.SetNodeValue(StopGradient(v.NodeValue(g)))
		}
	}
	return norm
}

// A Snapshot holds the variables of a store as they were before an update.
type Snapshot struct {
	store  *model.Store
	before map[*model.Variable]*Node
}

// Remember takes a Snapshot inside a graph.
func Remember(store *model.Store, g *Graph) Snapshot {
	s := Snapshot{store, map[*model.Variable]*Node{}}
	for v := range store.IterVariables() {
		s.before[v] = v.NodeValue(g)
	}
	return s
}

// Unless undoes all changes since the Snapshot if ok, a bool scalar, is false.
func (s Snapshot) Unless(ok *Node) {
	for v := range s.store.IterVariables() {
		old := s.before[v]
		if old == nil {
			continue
		}
		if now := v.NodeValue(old.Graph()); now != old {
			v.SetNodeValue(Where(ok, now, old))
		}
	}
}

// momentsScope is where GoMLX's Adam keeps both moments of every variable.
const momentsScope = "/" + optimizer.AdamDefaultScope

// ForgetMoments removes Adam's moments, two numbers for each weight, from a store that
// no update will use.
func ForgetMoments(s *model.Store) error { return s.DeleteVariablesInScope(momentsScope) }

// setRate sets the optimiser's learning-rate variable for this step. A resumed run uses
// the rate in its settings, not the one in its checkpoint.
func (a Adam) setRate(scope *model.Scope, rate float64, g *Graph) {
	now := Const(g, float32(rate))
	if a.Share != nil {
		now = Mul(now, a.Share)
	}
	optimizer.LearningRateVar(scope, dtypes.Float32, rate).SetNodeValue(now)
}

func (a Adam) optimizer(rate float64) gradientOptimizer {
	adam := optimizer.Adam().LearningRate(rate).Epsilon(a.Epsilon)
	if a.Beta1 > 0 {
		adam = adam.Betas(a.Beta1, 0.999)
	}
	return adam.Done().(gradientOptimizer)
}

// gradientOptimizer has the methods of GoMLX's optimisers beyond optimisers.Interface.
type gradientOptimizer interface {
	UpdateGraphWithGradients(scope *model.Scope, grads []*Node, lossDType dtypes.DType)
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
