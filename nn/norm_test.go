package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/internal/enginetest"
)

// A norm64 is batch normalisation in plain Go.
type norm64 struct {
	gamma, beta, mean, variance []float64
	steps                       float64
}

// stirred has numbers as a training may have left them; some variances are so small
// that renormalisation is at its limits.
func stirred(features int, steps float64) norm64 {
	rng := rand.New(rand.NewPCG(3, 4))
	n := norm64{steps: steps}
	for i := range features {
		n.gamma = append(n.gamma, 1+0.3*rng.NormFloat64())
		n.beta = append(n.beta, 0.3*rng.NormFloat64())
		n.mean = append(n.mean, 0.5*float64(i)+0.5*rng.NormFloat64())
		n.variance = append(n.variance, []float64{0.002, 0.6, 1.4, 60}[i%4])
	}
	return n
}

// put gives the layer's variables these numbers.
func (n norm64) put(t *testing.T, to BatchNorm) {
	t.Helper()
	to.variable(scaleName, 1, true)
	to.variable(shiftName, 0, true)
	to.running()
	for name, x := range map[string][]float64{scaleName: n.gamma, shiftName: n.beta, meanName: n.mean, varianceName: n.variance, stepsName: {n.steps}} {
		v := to.scope.GetVariable(name)
		if err := v.SetValue(tensors.FromFlatDataAndDimensions(narrow(x), v.Shape().Dimensions...)); err != nil {
			t.Fatal(err)
		}
	}
}

// learn is BatchNorm's formula, rows of x weighed by weight, and moves the running
// statistics.
func (n *norm64) learn(x [][]float64, weight []float64) [][]float64 {
	out := make([][]float64, len(x))
	for i := range out {
		out[i] = make([]float64, len(n.gamma))
	}
	for f := range n.gamma {
		mean, variance := 0.0, 0.0
		for i := range x {
			mean += weight[i] * x[i][f]
		}
		for i := range x {
			variance += weight[i] * (x[i][f] - mean) * (x[i][f] - mean)
		}
		std, running := math.Sqrt(variance+1e-3), math.Sqrt(n.variance[f]+1e-3)
		r, d := 1.0, 0.0
		if n.steps >= 100_000 {
			r = min(3, max(1.0/3, std/running))
			d = min(5, max(-5, (mean-n.mean[f])/running))
		}
		for i := range x {
			out[i][f] = n.gamma[f]*((x[i][f]-mean)/std*r+d) + n.beta[f]
		}
		n.mean[f] = 0.99*n.mean[f] + 0.01*mean
		n.variance[f] = 0.99*n.variance[f] + 0.01*variance
	}
	n.steps++
	return out
}

// apply normalises by the running statistics.
func (n norm64) apply(x []float64) []float64 {
	out := make([]float64, len(x))
	for f := range x {
		out[f] = n.gamma[f]*(x[f]-n.mean[f])/math.Sqrt(n.variance[f]+1e-3) + n.beta[f]
	}
	return out
}

// rowsOf draws rows of features with means and spreads of their own.
func rowsOf(n, features int) (x [][]float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range n {
		var row []float64
		for f := range features {
			row = append(row, float64(float32(0.5*float64(f)+rng.NormFloat64()*[]float64{0.5, 1, 2}[f%3])))
		}
		x = append(x, row)
	}
	return x
}

func flat(x [][]float64) (all []float64) {
	for _, row := range x {
		all = append(all, row...)
	}
	return all
}

func narrow(x []float64) []float32 {
	out := make([]float32, len(x))
	for i := range x {
		out[i] = float32(x[i])
	}
	return out
}

func tensorOf(x []float64, dims ...int) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(narrow(x), dims...)
}

// near compares what was found with a formula, relative to numbers greater than 1.
func near(t *testing.T, what string, got *tensors.Tensor, want []float64) {
	t.Helper()
	flat := tensors.MustCopyFlatData[float32](got)
	if len(flat) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(flat), len(want))
	}
	for i := range want {
		if !(math.Abs(float64(flat[i])-want[i]) <= 5e-6*max(1, math.Abs(want[i]))) {
			t.Fatalf("%s: number %d is %v, want %v", what, i, flat[i], want[i])
		}
	}
}

func layer() (*model.Store, BatchNorm) {
	store := model.NewStore()
	return store, BatchNorm{store.RootScope().At("layer").At("norm"), 6}
}

// Ensure that a batch is normalised, renormalised after the warm-up, and moves the
// running statistics as the formulas say; with weights, in which a row may count
// nothing; and that its map does to the batch's rows what the batch had done to them.
func TestBatchNormLearns(t *testing.T) {
	const n, features = 7, 6
	x := rowsOf(n, features)
	even, uneven := make([]float64, n), []float64{0.1, 0, 0.3, 0.2, 0.1, 0, 0.3}
	for i := range even {
		even[i] = 1.0 / n
	}
	for name, c := range map[string]struct {
		steps  float64
		weight []float64
	}{
		"last of the warm-up":   {99_999, even},
		"renormalised":          {100_000, even},
		"weighed":               {5, uneven},
		"weighed, renormalised": {100_001, uneven},
	} {
		t.Run(name, func(t *testing.T) {
			store, norm := layer()
			reference := stirred(features, c.steps)
			reference.put(t, norm)
			exec := model.MustNewExec(enginetest.PureGo(t), store, func(_ *model.Scope, x, weight *Node) (*Node, *Node) {
				how := Statistics{Learn: true, Weight: weight, Maps: Maps{}}
				if name == "renormalised" || name == "last of the warm-up" {
					how.Weight = nil
				}
				centred, times, plus := norm.learn(x, how)
				learned := Add(Mul(centred, expand(times, x)), expand(plus, x))
				scale, shift := norm.Affine(x.Graph(), Statistics{Maps: how.Maps})
				return learned, Add(Mul(x, expand(scale, x)), expand(shift, x))
			})
			defer exec.Finalize()
			out := exec.MustCall(tensorOf(flat(x), n, features), tensorOf(c.weight, n))
			want := flat(reference.learn(x, c.weight))
			near(t, "a row", out[0], want)
			near(t, "a row by the batch's map", out[1], want)
			for name, want := range map[string][]float64{
				meanName: reference.mean, varianceName: reference.variance, stepsName: {reference.steps},
				scaleName: reference.gamma, shiftName: reference.beta,
			} {
				near(t, name, norm.scope.GetVariable(name).MustValue(), want)
			}
		})
	}
}

// Ensure that a layer normalises by its running statistics without moving them, the
// same where the rows are scaled and where, because they are many, the weights are.
func TestDenseByRunningStatistics(t *testing.T) {
	const features, width = 6, 3
	network := Network{Norm: "batch"}
	store, norm := layer()
	reference := stirred(features, 7)
	reference.put(t, norm)
	exec := model.MustNewExec(enginetest.PureGo(t), store, func(scope *model.Scope, x *Node) *Node {
		return network.Dense(scope.At("layer"), x, width, features, true, Statistics{})
	})
	defer exec.Finalize()
	x := rowsOf(12, features)
	few := exec.MustCall(tensorOf(flat(x[:2]), 2, features))[0]
	many := exec.MustCall(tensorOf(flat(x), 12, features))[0]
	apart := exec.MustCall(tensorOf(flat(x), 4, 3, features))[0] // as a policy's particles are

	number := func(name string) []float32 {
		return tensors.MustCopyFlatData[float32](store.RootScope().At("layer").GetVariable(name).MustValue())
	}
	weights, biases := number("weights"), number("biases")
	var want []float64
	for _, row := range x {
		row = reference.apply(row)
		for j := range width {
			sum := float64(biases[j])
			for i := range row {
				sum += row[i] * float64(weights[i*width+j])
			}
			want = append(want, sum)
		}
	}
	near(t, "two rows", few, want[:2*width])
	near(t, "twelve rows", many, want)
	near(t, "twelve rows of four states", apart, want)
	near(t, meanName, norm.scope.GetVariable(meanName).MustValue(), reference.mean)
	near(t, stepsName, norm.scope.GetVariable(stepsName).MustValue(), []float64{7})
}

// Ensure that rows beside a learned batch are normalised as that batch was, by every
// layer of a network, and not by its running statistics.
func TestMapsThroughANetwork(t *testing.T) {
	network := Network{Hidden: []int{5, 4}, Activation: "elu", Norm: "batch"}
	store := model.NewStore()
	exec := model.MustNewExec(enginetest.PureGo(t), store, func(scope *model.Scope, x *Node) (learned, by, running *Node) {
		at, how := scope.At("net"), Statistics{Learn: true, Maps: Maps{}}
		running = network.Apply(at, x, 2, Statistics{})
		learned = network.Apply(at, x, 2, how)
		if len(how.Maps) != 3 {
			t.Errorf("%d maps of three layers", len(how.Maps))
		}
		return learned, network.Apply(at, x, 2, Statistics{Maps: how.Maps}), running
	})
	defer exec.Finalize()
	out := exec.MustCall(tensorOf(flat(rowsOf(9, 3)), 9, 3))
	learned, running := tensors.MustCopyFlatData[float32](out[0]), tensors.MustCopyFlatData[float32](out[2])
	wide := make([]float64, len(learned))
	differs := false
	for i, x := range learned {
		wide[i] = float64(x)
		differs = differs || math.Abs(wide[i]-float64(running[i])) > 0.01
	}
	near(t, "by the maps", out[1], wide)
	if !differs {
		t.Error("the running statistics give the same: nothing was tested")
	}
}

// Ensure that layer normalisation is across the features of each row.
func TestLayerNorm(t *testing.T) {
	const features = 6
	store, norm := layer()
	reference := stirred(features, 0)
	reference.put(t, norm)
	exec := model.MustNewExec(enginetest.PureGo(t), store, func(_ *model.Scope, x *Node) *Node { return LayerNorm(norm.scope, x) })
	defer exec.Finalize()
	x := rowsOf(6, features)
	x[5] = []float64{2, 2, 2, 2, 2, 2} // no spread
	var want []float64
	for _, row := range x {
		mean, variance := 0.0, 0.0
		for _, v := range row {
			mean += v / features
		}
		for _, v := range row {
			variance += (v - mean) * (v - mean) / features
		}
		for f, v := range row {
			want = append(want, reference.gamma[f]*(v-mean)/math.Sqrt(variance+1e-6)+reference.beta[f])
		}
	}
	near(t, "[6, F]", exec.MustCall(tensorOf(flat(x), 6, features))[0], want)
	near(t, "[2, 3, F]", exec.MustCall(tensorOf(flat(x), 2, 3, features))[0], want)
}
