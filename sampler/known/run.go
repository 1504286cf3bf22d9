package known

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// Run fits the sampler if it has parameters to fit, runs the steps once and measures the
// result, in float32. It fails if a loss, a position or a log-density is not finite.
func Run(backend compute.Backend, c Config) (Result, error) {
	r := Result{Config: c}
	if err := c.Check(); err != nil {
		return r, err
	}
	smp, learns := c.sampler()
	store := model.NewStore()
	// The first seed is for the run and the others for the fit, so that all samplers
	// start from the same positions, fitted or not.
	seeds := rand.New(rand.NewPCG(c.Seed, 0))
	runSeed := seeds.Int64()
	if learns && c.Fit > 0 {
		start := time.Now()
		if err := c.fit(backend, store, smp, seeds); err != nil {
			return r, err
		}
		r.FitTime = time.Since(start)
	}
	return r, c.take(backend, store, smp, runSeed, &r)
}

// initial is q⁰ for a number of systems.
func (c Config) initial(g *Graph, systems int) sampler.Initial {
	shape := shapes.Make(dtypes.Float32, systems, c.Density.Dim)
	return sampler.DiagonalGaussian{Mean: Zeros(g, shape), Std: MulScalar(Ones(g, shape), c.InitialStd)}
}

func at(scope *model.Scope, state *Node) sampler.At {
	return sampler.At{Scope: scope, Noise: sampler.KeyNoise{Key: random.NewKey(state)}}
}

// run builds the graph of all steps.
func (c Config) run(scope *model.Scope, smp sampler.Sampler, state *Node, systems int) sampler.Result {
	return sampler.Start(at(scope, state), c.initial(state.Graph(), systems), smp, c.Density.Target, c.Particles, sampler.Steps{Max: c.Steps})
}

// fit minimises the reverse divergence E[log q^L − log p̄] over the sampler's variables
// with Adam, with a new draw in each iteration.
func (c Config) fit(backend compute.Backend, store *model.Store, smp sampler.Sampler, seeds *rand.Rand) error {
	rate := c.FitRate
	if rate == 0 {
		rate = 0.05 // of logarithms: five percent per iteration
	}
	exec, err := model.NewExec(backend, store, func(scope *model.Scope, state *Node) *Node {
		r := c.run(scope, smp, state, c.fitSystems())
		loss := ReduceAllMean(Sub(r.LogQ, r.LogP))
		optimizer.Adam().LearningRate(rate).Done().UpdateGraph(scope, loss.Graph(), loss)
		return loss
	})
	if err != nil {
		return fmt.Errorf("sampling: building the fit: %w", err)
	}
	defer exec.Finalize()
	for i := range c.Fit {
		out, err := execute(exec, seeds.Int64())
		if err != nil {
			return fmt.Errorf("sampling: fitting %s: %w", c.Sampler, err)
		}
		if loss := out[0].Value().(float32); !finite(float64(loss)) {
			return fmt.Errorf("sampling: fitting %s to %s: the loss is %g in iteration %d: try a smaller step size", c.Sampler, c.Density.Name, loss, i)
		}
	}
	return nil
}

// fitSystems is the number of systems that one iteration of the fit averages over.
func (c Config) fitSystems() int { return min(c.Systems, max(2, min(8, 256/c.Particles))) }

// take runs the steps once and fills in r.
func (c Config) take(backend compute.Backend, store *model.Store, smp sampler.Sampler, seed int64, r *Result) error {
	var hasLogQ, hasSigma bool
	exec, err := model.NewExec(backend, store, func(scope *model.Scope, state *Node) []*Node {
		s := c.run(scope, smp, state, c.Systems)
		hasLogQ, hasSigma = s.LogQ != nil && !c.langevin(), s.Infos[0].Bandwidth != nil
		epsilon := make([]*Node, c.Steps)
		sigma, accepted := make([]*Node, c.Steps), make([]*Node, c.Steps)
		for l, info := range s.Infos {
			epsilon[l], accepted[l] = info.Used, info.Accepted
			if hasSigma {
				sigma[l] = info.Bandwidth
			}
		}
		out := []*Node{s.X, mean(epsilon), mean(accepted)}
		if hasSigma {
			out = append(out, mean(sigma))
		}
		if hasLogQ {
			out = append(out, s.LogQ)
		}
		if c.Path {
			out = append(out, c.path(scope, smp, state)...)
		}
		return out
	})
	if err != nil {
		return fmt.Errorf("sampling: building the run: %w", err)
	}
	defer exec.Finalize()
	if _, err := execute(exec, seed); err != nil { // compiles
		return fmt.Errorf("sampling: running %s: %w", c.Sampler, err)
	}
	start := time.Now()
	out, err := execute(exec, seed)
	if err != nil {
		return fmt.Errorf("sampling: running %s: %w", c.Sampler, err)
	}
	r.X = floats64(out[0])
	r.Time = time.Since(start)
	r.StepSize, r.Accepted, r.Bandwidth = floats64(out[1])[0], floats64(out[2])[0], math.NaN()
	if c.Sampler != "met-mh" && c.Sampler != "mala" {
		r.Accepted = math.NaN()
	}
	out = out[3:]
	if hasSigma {
		r.Bandwidth, out = floats64(out[0])[0], out[1:]
	}
	if hasLogQ {
		r.LogQ, out = floats64(out[0]), out[1:]
	}
	for _, x := range out {
		r.Path = append(r.Path, floats64(x))
	}
	return c.sound(*r)
}

// path is the trajectory of the first system's particles, at the start and after each
// step, [M, D] each. It runs the steps again, one at a time.
func (c Config) path(scope *model.Scope, smp sampler.Sampler, state *Node) []*Node {
	at := at(scope, state)
	at.Steps = c.Steps
	x, logQ := c.initial(state.Graph(), c.Systems).Draw(at.Noise, c.Particles)
	first := func(x *Node) *Node { return Squeeze(Slice(x, AxisElem(0)), 0) }
	way := []*Node{first(x)}
	for l := range c.Steps {
		at.Step = l
		now := sampler.Evaluate(c.Density.Target, x, smp.Probes(at, x))
		now.LogQ = logQ
		next, _ := smp.Step(at, c.Density.Target, now)
		x, logQ = next.X, next.LogQ
		way = append(way, first(x))
	}
	return way
}

// sound returns an error that names the first non-finite number.
func (c Config) sound(r Result) error {
	for what, values := range map[string][]float64{"position": r.X, "log density": r.LogQ} {
		for i, v := range values {
			if !finite(v) {
				per := len(values) / c.Systems
				return fmt.Errorf("sampling: %s on %s: a %s of system %d is %g after %d steps: try a smaller step size",
					c.Sampler, c.Density.Name, what, i/per, v, c.Steps)
			}
		}
	}
	return nil
}

// execute runs a graph with the random state of a seed and returns a panic of the graph
// builder as an error.
func execute(exec *model.Exec, seed int64) (out []*tensors.Tensor, err error) {
	state, err := RNGStateFromSeed(seed)
	if err != nil {
		return nil, err
	}
	if tried := engine.Try(func() { out, err = exec.Call(state) }); tried != nil {
		err = tried
	}
	return out, err
}

func mean(parts []*Node) *Node {
	sum := ReduceAllMean(parts[0])
	for _, p := range parts[1:] {
		sum = Add(sum, ReduceAllMean(p))
	}
	return MulScalar(sum, 1/float64(len(parts)))
}

func floats64(t *tensors.Tensor) []float64 {
	narrow := tensors.MustCopyFlatData[float32](t)
	wide := make([]float64, len(narrow))
	for i, v := range narrow {
		wide[i] = float64(v)
	}
	return wide
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
