package flows_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
	"gonum.org/v1/gonum/mat"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/nn/flows"
)

// stir moves all variables away from where they start, so that no layer is near the
// identity.
func stir[T float32 | float64](t *testing.T, store *model.Store, size float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	for v := range store.IterVariables() {
		if !v.Shape().DType.IsFloat() {
			continue
		}
		tensors.MustMutableFlatData(v.MustValue(), func(flat []T) {
			for i := range flat {
				flat[i] += T(size * rng.NormFloat64())
			}
		})
	}
}

func normal[T float32 | float64](n int) []T {
	rng := rand.New(rand.NewPCG(11, 11))
	x := make([]T, n)
	for i := range x {
		x[i] = T(rng.NormFloat64())
	}
	return x
}

// Ensure that the log-determinant is that of the numeric Jacobian, through a split.
func TestGlowJacobian(t *testing.T) {
	const step = 1e-5
	glow := flows.Glow{Height: 4, Width: 4, Channels: 1, Levels: 2, Steps: 2, Hidden: 3}
	store := model.NewStore()
	exec := model.MustNewExec(enginetest.PureGo(t), store, func(scope *model.Scope, x *Node) (*Node, *Node) {
		return glow.Forward(scope, x, nil)
	})
	d := glow.Size()
	forward := func(x []float64) (z, logDet []float64) {
		out := exec.MustCall(tensors.FromFlatDataAndDimensions(x, len(x)/d, 4, 4, 1))
		return tensors.MustCopyFlatData[float64](out[0]), tensors.MustCopyFlatData[float64](out[1])
	}
	x := normal[float64](d)
	forward(x)
	stir[float64](t, store, 0.3)

	// One picture for each direction, moved up, and one moved down.
	var moved []float64
	for i := range 2 * d {
		p := append([]float64(nil), x...)
		p[i/2] += step * float64(1-2*(i%2))
		moved = append(moved, p...)
	}
	z, _ := forward(moved)
	jacobian := mat.NewDense(d, d, nil)
	for i := range d {
		for o := range d {
			jacobian.Set(o, i, (z[2*i*d+o]-z[(2*i+1)*d+o])/(2*step))
		}
	}
	want, _ := mat.LogDet(jacobian)
	_, logDet := forward(x)
	if math.Abs(want-logDet[0]) > 1e-5 || math.Abs(want) < 0.5 {
		t.Errorf("log|det| %.8f, numeric %.8f", logDet[0], want)
	}
}

// Ensure that the inverse is one in single precision, of few and many layers, on
// channels as many as CIFAR-10 has on its last level, after Initialise and with weights
// that are far from fresh; and that both directions agree on the density. The
// interpreter takes most of them: XLA would compile for minutes.
func TestGlowInverse(t *testing.T) {
	const batch = 32
	for _, c := range []struct {
		levels, steps int
		stirred       float64
		open          func(testing.TB) compute.Backend
	}{
		{3, 1, 0.05, enginetest.Backend},
		{1, 4, 0.05, enginetest.PureGo}, {2, 4, 0.05, enginetest.PureGo}, {3, 3, 0.05, enginetest.PureGo}, {3, 6, 0.03, enginetest.PureGo},
	} {
		backend := c.open(t)
		t.Run(fmt.Sprintf("%s %d levels of %d", backend.Name(), c.levels, c.steps), func(t *testing.T) {
			glow := flows.Glow{Height: 8, Width: 8, Channels: 3, Levels: c.levels, Steps: c.steps, Hidden: 16}
			store := model.NewStore()
			store.SetParam(model.ParamInitialSeed, int64(3))
			x := tensors.FromFlatDataAndDimensions(normal[float32](batch*glow.Size()), batch, 8, 8, 3)
			fit := model.MustNewExec(backend, store, func(scope *model.Scope, x *Node) *Node {
				z, _ := glow.Initialise(scope, x)
				return ReduceAllMean(Square(z))
			})
			// Couplings multiply half of what each actnorm gives by 0.91.
			if square := tensors.ToScalar[float32](fit.MustCall(x)[0]); square < 0.7 || square > 1.1 {
				t.Errorf("mean square of z is %.3f after Initialise", square)
			}
			stir[float32](t, store, c.stirred)
			there := model.MustNewExec(backend, store, func(scope *model.Scope, x *Node) []*Node {
				z, logDet := glow.Forward(scope, x, nil)
				back, logDetBack := glow.Inverse(scope, z)
				away := Sub(z, Reshape(x, batch, -1))
				return []*Node{ReduceAllMax(Abs(Sub(back, x))), ReduceAllMax(Abs(Add(logDet, logDetBack))), ReduceAllMax(Abs(away)), ReduceAllMax(Abs(logDet))}
			})
			out := there.MustCall(x)
			got := func(i int) float64 { return float64(tensors.ToScalar[float32](out[i])) }
			t.Logf("inverse to %.2g, log-determinants to %.2g of %.0f; z up to %.2g from x", got(0), got(1), got(3), got(2))
			if !(got(0) < 1e-4) {
				t.Errorf("inverse(forward(x)) is %g away from x", got(0))
			}
			if !(got(1) < 2e-3) {
				t.Errorf("log-determinants differ by %g", got(1))
			}
			if got(2) < 0.5 {
				t.Errorf("the flow is within %g of the identity", got(2))
			}
		})
	}
}

// Ensure that what is drawn comes with the density that the same model gives it.
func TestGlowSampleDensity(t *testing.T) {
	glow := flows.Glow{Height: 8, Width: 8, Channels: 1, Levels: 3, Steps: 2, Hidden: 4}
	store := model.NewStore()
	exec := model.MustNewExec(enginetest.PureGo(t), store, func(scope *model.Scope, z *Node) []*Node {
		x, logQ := glow.Sample(scope, z)
		return []*Node{ReduceAllMax(Abs(Sub(logQ, glow.LogProb(scope, x)))), ReduceAllMax(Abs(logQ))}
	})
	z := tensors.FromFlatDataAndDimensions(normal[float64](3*glow.Size()), 3, glow.Size())
	exec.MustCall(z)
	stir[float64](t, store, 0.05)
	out := exec.MustCall(z)
	if off := tensors.ToScalar[float64](out[0]); !(off < 1e-8) || tensors.ToScalar[float64](out[1]) < 1 {
		t.Errorf("densities differ by %g", off)
	}
}

// Ensure that the density of what is drawn can be learned through, as a sampler's
// first distribution is: the gradient agrees with central differences.
func TestGlowGradient(t *testing.T) {
	const step = 1e-5
	glow := flows.Glow{Height: 4, Width: 4, Channels: 1, Levels: 2, Steps: 1, Hidden: 3}
	store := model.NewStore()
	names := []string{"kernel", "lower", "upper", "log_scale", "bias"}
	exec := model.MustNewExec(enginetest.PureGo(t), store, func(scope *model.Scope, z *Node) []*Node {
		x, logQ := glow.Sample(scope, z)
		loss := ReduceAllMean(Add(logQ, ReduceSum(Tanh(x), 1, 2, 3)))
		return append([]*Node{loss}, scope.BuildTrainableVariablesGradientsGraph(loss)...)
	})
	z := tensors.FromFlatDataAndDimensions(normal[float64](2*glow.Size()), 2, glow.Size())
	exec.MustCall(z)
	stir[float64](t, store, 0.1)
	gradients := exec.MustCall(z)[1:]
	checked := map[string]bool{}
	i := 0
	for v := range store.IterVariables() {
		if !v.Trainable {
			continue
		}
		gradient := tensors.MustCopyFlatData[float64](gradients[i])
		i++
		at := len(gradient) / 3
		if v.Name() == "lower" {
			at = len(gradient) - 2 // below the diagonal
		}
		moved := func(h float64) float64 {
			tensors.MustMutableFlatData(v.MustValue(), func(flat []float64) { flat[at] += h })
			defer tensors.MustMutableFlatData(v.MustValue(), func(flat []float64) { flat[at] -= h })
			return tensors.ToScalar[float64](exec.MustCall(z)[0])
		}
		want := (moved(step) - moved(-step)) / (2 * step)
		if math.Abs(want-gradient[at]) > 1e-5*(1+math.Abs(want)) {
			t.Errorf("%s[%d]: gradient %g, differences %g", v.Path(), at, gradient[at], want)
		}
		if want != 0 {
			checked[v.Name()] = true
		}
	}
	for _, name := range names {
		if !checked[name] {
			t.Errorf("no variable %q has a gradient", name)
		}
	}
}

// Ensure that bits per dimension fall on real pictures that the flow was not fitted to,
// below those of no model at all (8) and of an independent normal for each pixel, which
// takes 7.76 on the same pictures.
func TestGlowLearnsFashionMNIST(t *testing.T) {
	if testing.Short() {
		t.Skip("learns for ten seconds")
	}
	const batch, updates = 32, 200
	read := func(split string) *dataset.Images {
		m, err := dataset.Open(t.Context(), dataset.Source{Name: "fashion-mnist", Path: "../../images/dataset/testdata/fashion-mnist", Split: split, Size: 8})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	train, test := read("train"), read("test")
	glow := flows.Glow{Height: 8, Width: 8, Channels: 1, Levels: 2, Steps: 1, Hidden: 16}
	store := model.NewStore()
	store.SetParam(model.ParamInitialSeed, int64(5))
	draw := func(m *dataset.Images, n int, seed uint64) *tensors.Tensor {
		x := make([]float32, n*m.Size())
		m.Draw(x, rand.New(rand.NewPCG(seed, 1)), dataset.Augment{Noise: true})
		return tensors.FromFlatDataAndDimensions(x, n, 8, 8, 1)
	}
	fit := model.MustNewExec(enginetest.Backend(t), store, func(scope *model.Scope, x *Node) *Node {
		_, logDet := glow.Initialise(scope, x)
		return logDet
	})
	fit.MustCall(draw(train, 200, 1))
	score := model.MustNewExec(enginetest.Backend(t), store, func(scope *model.Scope, x *Node) *Node {
		return ReduceAllMean(glow.LogProb(scope, x))
	})
	bits := func() float64 {
		return flows.BitsPerDim(float64(tensors.ToScalar[float32](score.MustCall(draw(test, 200, 2))[0])), glow.Size())
	}
	adam := optimizer.Adam().LearningRate(3e-3).Done()
	update := model.MustNewExec(enginetest.Backend(t), store, func(scope *model.Scope, x *Node) *Node {
		loss := Neg(ReduceAllMean(glow.LogProb(scope, x)))
		adam.UpdateGraph(scope, x.Graph(), loss)
		return loss
	})
	before := bits()
	for i := range updates {
		update.MustCall(draw(train, batch, uint64(10+i)))
	}
	after := bits()
	t.Logf("bits per dimension on pictures not seen: %.3f, after %d updates %.3f", before, updates, after)
	if !(after < before-1) || !(after < 7) {
		t.Errorf("bits per dimension %.3f after %.3f", after, before)
	}
}

// Ensure that an even density over [-1, 1] is exactly 8 bits.
func TestBitsPerDim(t *testing.T) {
	if bits := flows.BitsPerDim(-12*math.Ln2, 12); math.Abs(bits-8) > 1e-12 {
		t.Errorf("%g bits, want 8", bits)
	}
}

// Ensure that sizes that do not go together are errors that say so.
func TestGlowCheck(t *testing.T) {
	for _, g := range []flows.Glow{
		{Height: 28, Width: 28, Channels: 1, Levels: 3, Steps: 1, Hidden: 1},
		{Height: 32, Width: 32, Channels: 3, Levels: 0, Steps: 1, Hidden: 1},
		{Height: 0, Width: 0, Channels: 3, Levels: 1, Steps: 1, Hidden: 1},
	} {
		if g.Check() == nil {
			t.Errorf("%+v is accepted", g)
		}
	}
	if err := (flows.Glow{Height: 28, Width: 28, Channels: 1, Levels: 2, Steps: 1, Hidden: 1}).Check(); err != nil {
		t.Error(err)
	}
}
