package ebm

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// A Restoration fills in missing parts of images, or removes noise: the model's sampler
// continues from the damaged images, towards the posterior
//
//	p(x | y) ∝ exp(f(x)/τ) · Π exp(−(x_d − y_d)²/(2·Noise²))
//
// with the product over the known values d.
type Restoration struct {
	// Known marks the values of an image that y holds, [D]; nil: all.
	Known []bool
	// Noise is the standard deviation of the noise on known values. 0: they are exact and
	// stay unchanged.
	Noise  float64
	Rounds int // number of runs of the sampler
}

// Restore restores images y, [N, D] in [−1, 1]. Unknown values start from a draw of the
// initial distribution, the one of several that is nearest in the known values. The
// result depends on the seed. progress may be nil.
func (m *Model) Restore(ctx context.Context, y []float32, r Restoration, seed uint64, progress func(done, total int)) ([]float32, error) {
	if !m.contrastive() {
		return nil, fmt.Errorf("ebm: restoring needs a model with an energy")
	}
	d, size := m.shape.Size(), m.cfg.Particles*m.shape.Size()
	known := make([]float32, d)
	for i := range known {
		if r.Known == nil || r.Known[i] {
			known[i] = 1
		}
	}
	x := make([]float32, len(y))
	if err := m.fill(ctx, x, y, known, seed); err != nil {
		return nil, err
	}
	exec, err := model.NewExec(m.backend, m.store, m.restoreGraph(r.Noise))
	if err != nil {
		return nil, fmt.Errorf("ebm: restoring: %w", err)
	}
	defer exec.Finalize()
	total := (len(y) + size - 1) / size
	batch, of := make([]float32, size), make([]float32, size)
	for b := range total {
		from := b * size
		n := copy(batch, x[from:]) // an incomplete last batch keeps the old rows
		copy(of, y[from:])
		for round := range r.Rounds {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			key := random.KeyOf(random.Mix(m.seed, seed), restoreStream, uint64(b*r.Rounds+round))
			out, err := exec.Call(tensors.FromFlatDataAndDimensions(key[:], 3), m.rows(batch), m.rows(of), tensors.FromFlatDataAndDimensions(known, d))
			if err != nil {
				return nil, fmt.Errorf("ebm: restoring: %w", err)
			}
			copy(batch, tensors.MustCopyFlatData[float32](out[0]))
			out[0].FinalizeAll()
		}
		copy(x[from:from+n], batch)
		if progress != nil {
			progress(b+1, total)
		}
	}
	for i, v := range x {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("ebm: restoring: image %d is not finite: the sampler's step size is too large for this noise", i/d)
		}
	}
	return x, nil
}

// rows is x as [M, D].
func (m *Model) rows(x []float32) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(x, m.cfg.Particles, m.shape.Size())
}

// fill writes the starting points: known values as they are, the others from the draw of
// the initial distribution that is nearest in the known values.
func (m *Model) fill(ctx context.Context, x, y, known []float32, seed uint64) error {
	const drawn = 256
	d := len(known)
	draws, err := m.Start(ctx, drawn, seed)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(random.Mix(m.seed, seed), restoreStream))
	for at := 0; at < len(y); at += d {
		best, least := rng.IntN(drawn), float32(math.Inf(1))
		for k := range drawn {
			var sum float32
			for j, is := range known {
				diff := is * (draws[k*d+j] - y[at+j])
				sum += diff * diff
			}
			if sum < least {
				best, least = k, sum
			}
		}
		for j, is := range known {
			x[at+j] = is*y[at+j] + (1-is)*draws[best*d+j]
		}
	}
	return nil
}

// restoreGraph runs the sampler once from x for the posterior: key [3], x and y [M, D],
// known [D] -> [M, D].
func (m *Model) restoreGraph(noise float64) func(scope *model.Scope, in []*Node) *Node {
	return func(scope *model.Scope, in []*Node) *Node {
		x, y, known := InsertAxes(in[1], 0), InsertAxes(in[2], 0), InsertAxes(in[3], 0, 0) // [1, M, D], [1, 1, D]
		net := m.cfg.Energy.build(scope.At(averageScope), x.Graph(), m.shape)
		pinned := func(x *Node) *Node { return Add(Mul(known, y), Mul(OneMinus(known), x)) }
		target := sampler.LogDensity(func(x *Node) *Node {
			if noise == 0 {
				x = pinned(x)
			}
			log := MulScalar(net.particles(x), 1/m.cfg.Temperature)
			if noise > 0 {
				log = Sub(log, MulScalar(ReduceSum(Mul(known, Square(Sub(x, y))), -1), 1/(2*noise*noise)))
			}
			return log
		})
		smp, steps := m.cfg.Sampler.Build()
		at := sampler.At{
			Scope: scope.At(samplerScope).At(movesScope), Noise: sampler.KeyNoise{Key: random.NewKey(in[0])},
			Progress: Const(x.Graph(), float32(1)),
		}
		q := m.cfg.Initial.build(scope.At(samplerScope).At(initialScope), x.Graph(), m.shape)
		if l, ok := q.(sampler.Located); ok {
			at.Mean, at.Std = l.Located()
		}
		// The density of the starting points is unknown and not needed: use a constant.
		var logQ *Node
		if m.cfg.Sampler.HasDensity() {
			logQ = Zeros(x.Graph(), shapes.Make(x.DType(), 1, m.cfg.Particles))
		}
		end := sampler.Run(at, smp, target, x, logQ, steps).X
		if noise == 0 {
			end = pinned(end)
		}
		return Reshape(end, m.cfg.Particles, -1)
	}
}
