package ebm

import (
	"context"
	"fmt"
	"math/rand/v2"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// run draws particles from the initial distribution, or continues chains, and moves them
// towards exp(f/τ).
func (m *Model) run(scope *model.Scope, net *network, key random.Key, in []*Node) sampler.Result {
	g := in[inProgress].Graph()
	scope = scope.At(samplerScope)
	q := m.cfg.Initial.build(scope.At(initialScope), g, m.shape)
	smp, steps := m.cfg.Sampler.Build()
	at := sampler.At{Scope: scope.At(movesScope), Noise: sampler.KeyNoise{Key: key}, Progress: in[inProgress]}
	target := sampler.LogDensity(func(x *Node) *Node { return MulScalar(net.particles(x), 1/m.cfg.Temperature) })
	x, logQ := q.Draw(at.Noise, m.cfg.Particles)
	if l, ok := q.(sampler.Located); ok {
		at.Mean, at.Std = l.Located()
	}
	if m.cfg.Chains.Size > 0 {
		chains := InsertAxes(in[len(in)-2], 0) // [1, M, D]
		fresh := InsertAxes(in[len(in)-1], 0, -1)
		x = Where(BroadcastToShape(fresh, x.Shape()), x, chains)
	}
	if !m.cfg.Sampler.HasDensity() {
		logQ = nil
	}
	return sampler.Run(at, smp, target, x, logQ, steps)
}

// The figures that Model evaluates.
const (
	lostFigure   = "sampler/lost_at" // step at which a sample was not finite; −1: never
	spreadFigure = "samples/spread"
	gapFigure    = "energy/gap"
	// −log-density of the data per value of an image
	likelihoodFigure = "train/likelihood_loss"
)

// runFigures are the figures of a run of the sampler; see docs/ebm.md.
func (m *Model) runFigures(run sampler.Result) map[string]*Node {
	figures := map[string]*Node{
		lostFigure:           ReduceAllMax(run.Faults.NotFinite),
		spreadFigure:         Sqrt(ReduceAllMean(Square(run.X))),
		"sampler/score_norm": ReduceAllMean(Sqrt(ReduceSum(Square(run.Score), -1))),
	}
	put := func(name string, of func(sampler.Info) *Node) {
		if x := run.Mean(of); x != nil {
			figures[name] = x
		}
	}
	put("sampler/sigma", func(i sampler.Info) *Node { return i.Bandwidth })
	put("sampler/epsilon", func(i sampler.Info) *Node { return i.StepSize })
	put("sampler/epsilon_used", func(i sampler.Info) *Node { return i.Used })
	put("sampler/epsilon_bound", func(i sampler.Info) *Node { return i.Bound })
	put("sampler/bound_share", func(i sampler.Info) *Node { return i.Bites })
	put("sampler/acceptance", func(i sampler.Info) *Node { return i.Accepted })
	put("sampler/stein_identity", func(i sampler.Info) *Node { return i.Stein })
	if accepted := figures["sampler/acceptance"]; accepted != nil {
		figures["sampler/rejection"] = OneMinus(accepted)
	}
	if run.LogQ != nil {
		figures["sampler/entropy"] = Neg(m.meanAlive(run, run.LogQ))
	}
	if run.Alive != nil {
		figures["sampler/alive"] = ReduceAllMean(ConvertDType(run.Alive, run.X.DType()))
	}
	if m.cfg.Particles > 1 {
		figures["sampler/sigma_median"] = ReduceAllMean(sampler.Median{}.Value(sampler.At{}, sampler.ParticlesOf(run.X)))
	}
	if m.cfg.Sampler.StopBelow > 0 {
		figures["sampler/steps_taken"] = ReduceAllMean(run.Taken)
	}
	for name, x := range figures {
		figures[name] = StopGradient(x)
	}
	return figures
}

// What drawGraph draws.
type drawing int

const (
	drawSamples drawing = iota
	drawWay             // also the trajectories of the first samples
	drawStart           // samples of q⁰ only, with the same random numbers
)

// drawGraph draws samples, [M, D], with the averaged weights. For drawWay it also returns
// the first samples at the start and after each step, [L+1, K, D].
func (m *Model) drawGraph(what drawing) func(scope *model.Scope, in []*Node) []*Node {
	return func(scope *model.Scope, in []*Node) []*Node {
		key := random.NewKey(in[inKey])
		if !m.contrastive() || what == drawStart {
			q := m.cfg.Initial.build(scope.At(samplerScope).At(initialScope), key0(in), m.shape)
			x, _ := q.Draw(sampler.KeyNoise{Key: key}, m.cfg.Particles)
			out := []*Node{Reshape(x, m.cfg.Particles, -1)}
			if what == drawWay {
				out = append(out, wayOf([]*Node{x}))
			}
			return out
		}
		net := m.cfg.Energy.build(scope.At(averageScope), key0(in), m.shape)
		run := m.run(scope, net, key, in)
		out := []*Node{Reshape(run.X, m.cfg.Particles, -1)}
		if what == drawWay {
			var all []*Node
			for _, s := range run.Path {
				all = append(all, s.X)
			}
			out = append(out, wayOf(append(all, run.X)))
		}
		return out
	}
}

func key0(in []*Node) *Graph { return in[inKey].Graph() }

// wayLimit is the number of particles whose trajectories are drawn.
const wayLimit = 16

func wayOf(states []*Node) *Node {
	few := make([]*Node, len(states))
	for i, x := range states {
		few[i] = Squeeze(Slice(x, AxisRange(), AxisRange(0, min(wayLimit, x.Shape().Dim(1)))), 0)
	}
	return Stack(few, 0)
}

// drawer is drawGraph, compiled on first use.
func (m *Model) drawer(what drawing) (*model.Exec, error) {
	if m.drawings[what] == nil {
		exec, err := model.NewExec(m.backend, m.store, m.drawGraph(what))
		if err != nil {
			return nil, err
		}
		m.drawings[what] = exec
	}
	return m.drawings[what], nil
}

// Draw draws n samples with the averaged weights, [n, D]. With persistent chains, it
// selects chains at random and continues them by as many steps as an update. The samples
// depend only on the seed and the model. progress may be nil.
func (m *Model) Draw(ctx context.Context, n int, seed uint64, progress func(done, total int)) ([]float32, error) {
	return m.drawAll(ctx, drawSamples, n, seed, progress)
}

// Start draws n samples of the initial distribution, [n, D]: the starting points of Draw
// with the same seed, except for persistent chains.
func (m *Model) Start(ctx context.Context, n int, seed uint64) ([]float32, error) {
	return m.drawAll(ctx, drawStart, n, seed, nil)
}

func (m *Model) drawAll(ctx context.Context, what drawing, n int, seed uint64, progress func(done, total int)) ([]float32, error) {
	all := make([]float32, 0, n*m.shape.Size())
	for batch := uint64(0); len(all) < n*m.shape.Size(); batch++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x, _, err := m.drawBatch(what, seed, batch)
		if err != nil {
			return nil, err
		}
		all = append(all, x...)
		if progress != nil {
			progress(min(n, len(all)/m.shape.Size()), n)
		}
	}
	return all[:n*m.shape.Size()], nil
}

// Way returns a few samples at the start and after each step, [steps+1][K·D].
func (m *Model) Way(seed uint64) ([][]float32, error) {
	_, way, err := m.drawBatch(drawWay, seed, 0)
	return way, err
}

func (m *Model) drawBatch(what drawing, seed, batch uint64) (x []float32, states [][]float32, err error) {
	exec, err := m.drawer(what)
	if err != nil {
		return nil, nil, fmt.Errorf("ebm: drawing: %w", err)
	}
	key := random.KeyOf(random.Mix(m.seed, seed), drawStream, batch)
	in := []any{float32(1), tensors.FromFlatDataAndDimensions(key[:], 3)}
	if m.cfg.Chains.Size > 0 {
		rng := rand.New(rand.NewPCG(random.Mix(m.seed, seed), batch))
		in = append(in, m.chainsAt(rng)...)
	}
	out, err := exec.Call(in...)
	if err != nil {
		return nil, nil, fmt.Errorf("ebm: drawing: %w", err)
	}
	x = tensors.MustCopyFlatData[float32](out[0])
	if what == drawWay {
		flat, length := tensors.MustCopyFlatData[float32](out[1]), out[1].Shape().Dim(0)
		size := len(flat) / length
		for i := range length {
			states = append(states, flat[i*size:(i+1)*size])
		}
	}
	return x, states, nil
}

// chainsAt returns chains in random order; those that have not started start anew.
func (m *Model) chainsAt(rng *rand.Rand) []any {
	places := rng.Perm(m.cfg.Chains.Size)[:m.cfg.Particles]
	x, fresh := make([]float32, m.cfg.Particles*m.shape.Size()), make([]bool, m.cfg.Particles)
	for i, p := range places {
		copy(x[i*m.shape.Size():(i+1)*m.shape.Size()], m.chains.x[p*m.shape.Size():])
		fresh[i] = !m.chains.used[p]
	}
	return []any{
		tensors.FromFlatDataAndDimensions(x, m.cfg.Particles, m.shape.Size()),
		tensors.FromFlatDataAndDimensions(fresh, m.cfg.Particles),
	}
}

// Energies are f of images [N, D] with the averaged weights, [N]; nil without an energy.
func (m *Model) Energies(pictures []float32) ([]float64, error) {
	if !m.contrastive() {
		return nil, nil
	}
	if m.energies == nil {
		exec, err := model.NewExec(m.backend, m.store, func(scope *model.Scope, x *Node) *Node {
			return m.cfg.Energy.build(scope.At(averageScope), x.Graph(), m.shape).f(x)
		})
		if err != nil {
			return nil, fmt.Errorf("ebm: energies: %w", err)
		}
		m.energies = exec
	}
	size := m.cfg.Particles * m.shape.Size() // limited, and constant, so that it compiles once
	batch := make([]float32, size)
	var all []float64
	for at := 0; at < len(pictures); at += size {
		n := copy(batch, pictures[at:]) / m.shape.Size()
		out, err := m.energies.Call(m.pictures(batch))
		if err != nil {
			return nil, fmt.Errorf("ebm: energies: %w", err)
		}
		for _, f := range tensors.MustCopyFlatData[float32](out[0])[:n] {
			all = append(all, float64(f))
		}
	}
	return all, nil
}
