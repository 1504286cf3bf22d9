package flows_test

import (
	"math"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
	"gonum.org/v1/gonum/mat"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/nn/flows"
	"github.com/stein-rl/stein/random"
)

// rough makes weights large enough for a flow far from the identity.
func rough(t *testing.T, store *model.Store) {
	t.Helper()
	state := uint64(12345)
	for v := range store.IterVariables() {
		if !v.Shape().DType.IsFloat() {
			continue
		}
		value := v.MustValue()
		tensors.MustMutableFlatData(value, func(flat []float64) {
			for i := range flat {
				state = state*6364136223846793005 + 1442695040888963407
				flat[i] = (float64(state>>11)/(1<<53) - 0.5) * 1.5
			}
		})
	}
}

// Ensure that the log-determinant is that of the numeric Jacobian, and that the
// condition counts.
func TestAutoregressiveJacobian(t *testing.T) {
	const dim, particles, step = 5, 3, 1e-5
	chain := flows.Alternating(4, dim, 16, nil)
	store := model.NewStore()
	exec := model.MustNewExec(enginetest.PureGo(t), store, func(scope *model.Scope, x, cond *Node) (*Node, *Node) {
		return chain.Forward(scope, x, cond)
	})
	x := make([]float64, particles*dim)
	for i := range x {
		x[i] = math.Sin(float64(3*i + 1))
	}
	forward := func(x, cond []float64) (y, logDet []float64) {
		out := exec.MustCall(tensors.FromFlatDataAndDimensions(x, 1, particles, dim),
			tensors.FromFlatDataAndDimensions(cond, 1, 2))
		return tensors.MustCopyFlatData[float64](out[0]), tensors.MustCopyFlatData[float64](out[1])
	}
	cond := []float64{0.3, -1.2}
	forward(x, cond)
	rough(t, store)
	_, logDet := forward(x, cond)

	for m := range particles {
		jacobian := mat.NewDense(dim, dim, nil)
		for d := range dim {
			move := func(h float64) []float64 {
				moved := append([]float64(nil), x...)
				moved[m*dim+d] += h
				y, _ := forward(moved, cond)
				return y[m*dim : (m+1)*dim]
			}
			up, down := move(step), move(-step)
			for o := range dim {
				jacobian.Set(o, d, (up[o]-down[o])/(2*step))
			}
		}
		want, sign := mat.LogDet(jacobian)
		if sign <= 0 || math.Abs(want-logDet[m]) > 1e-6 {
			t.Errorf("particle %d: log|det| %.9f, numeric %.9f, sign %g", m, logDet[m], want, sign)
		}
		if math.Abs(want) < 0.05 {
			t.Errorf("particle %d: log|det| %g: the flow is too close to the identity to test", m, want)
		}
	}
	if y1, _ := forward(x, cond); y1[0] == first(forward(x, []float64{1, 1})) {
		t.Error("the condition changes nothing")
	}
}

func first(y, _ []float64) float64 { return y[0] }

// Ensure that a flow fitted by reverse KL to an equal mixture of two Gaussians
// covers both, with the right normaliser.
func TestAutoregressiveFitsTwoModes(t *testing.T) {
	const batch, updates = 128, 1000
	chain := flows.Alternating(4, 2, 32, nil)
	// log p: means ±(1.5, 0.75), std 0.6, normalised: the divergence must come near 0.
	logP := func(x *Node) *Node {
		near := func(mean float64) *Node {
			diff := Sub(x, Const(x.Graph(), [][][]float32{{{float32(mean), float32(mean) / 2}}}))
			return MulScalar(ReduceSum(Square(diff), -1), -0.5/(0.6*0.6))
		}
		return AddScalar(LogAddExp(near(-1.5), near(1.5)), -math.Log(2*2*math.Pi*0.6*0.6))
	}
	sample := func(scope *model.Scope, key random.Key, x0 *Node) (x, kl *Node) {
		x, logDet := chain.Forward(scope, x0, nil)
		logQ := Sub(AddScalar(MulScalar(ReduceSum(Square(x0), -1), -0.5), -math.Log(2*math.Pi)), logDet)
		return x, ReduceAllMean(Sub(logQ, logP(x)))
	}
	store := model.NewStore()
	store.SetParam(model.ParamInitialSeed, int64(1))
	adam := optimizer.Adam().LearningRate(1e-2).Done()
	train := model.MustNewExec(enginetest.PureGo(t), store, func(scope *model.Scope, rng *Node) *Node {
		key := random.NewKey(rng)
		x0 := key.Normal(mustShape(1, batch, 2))
		_, kl := sample(scope, key, x0)
		adam.UpdateGraph(scope, rng.Graph(), kl)
		return kl
	})
	for i := range updates {
		rng, err := RNGStateFromSeed(int64(i + 1))
		if err != nil {
			t.Fatal(err)
		}
		train.MustCall(rng)
	}
	check := model.MustNewExec(enginetest.PureGo(t), store, func(scope *model.Scope, rng *Node) (*Node, *Node) {
		key := random.NewKey(rng)
		return sample(scope, key, key.Normal(mustShape(1, 4000, 2)))
	})
	rng, _ := RNGStateFromSeed(-1)
	out := check.MustCall(rng)
	x := tensors.MustCopyFlatData[float32](out[0])
	kl := float64(tensors.ToScalar[float32](out[1]))
	var right, between int
	for i := 0; i < len(x); i += 2 {
		if x[i] > 0 {
			right++
		}
		if x[i] > -0.5 && x[i] < 0.5 {
			between++
		}
	}
	// The mixture itself has 4.5 % between the modes; one Gaussian fitted to it a third.
	share, gap := float64(right)/4000, float64(between)/4000
	if share < 0.35 || share > 0.65 || gap > 0.12 || !(math.Abs(kl) < 0.1) {
		t.Errorf("share of the right mode %.3f, between the modes %.3f, KL %.3f", share, gap, kl)
	}
	t.Logf("share of the right mode %.3f, between the modes %.3f, KL %.4f", share, gap, kl)
}

func mustShape(dims ...int) shapes.Shape { return shapes.Make(dtypes.Float32, dims...) }
