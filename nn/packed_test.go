package nn_test

import (
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/nn"
)

// trainer is a network that learns to be zero, with a copy that follows it. One of its
// layers is too large for a Vector.
type trainer struct {
	store *model.Store
	net   nn.Network
}

func newTrainer(t *testing.T, backend compute.Backend) trainer {
	tr := trainer{model.NewStore(), nn.Network{Hidden: []int{130, 130}, Activation: "tanh", Norm: "batch"}}
	err := nn.Create(backend, tr.store, 1, []shapes.Shape{shapes.Make(dtypes.Float32, 4, 3)}, func(scope *model.Scope, in []*Node) {
		tr.net.Apply(scope.At("copy"), in[0], 1, nn.Statistics{})
		nn.Freeze(scope.At("copy"))
		tr.train(scope, in)
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func (tr trainer) train(scope *model.Scope, in []*Node) []*Node {
	before := nn.Remember(tr.store, in[0].Graph())
	loss := ReduceAllMean(Square(tr.net.Apply(scope.At("net"), in[0], 1, nn.Statistics{Learn: true})))
	norm := nn.Adam{Epsilon: 1e-8}.Step(scope, nn.Part{Scope: "net", Loss: loss, Rate: 0.01, Clip: 0.5})
	nn.Copy{Store: tr.store, From: "net", To: "copy"}.Follow(in[0].Graph(), 0.1)
	before.Unless(IsFinite(loss))
	return []*Node{loss, norm}
}

func (tr trainer) apply(scope *model.Scope, in []*Node) []*Node {
	return []*Node{tr.net.Apply(scope.At("copy"), in[0], 1, nn.Statistics{})}
}

func (tr trainer) all() map[string][]float32 {
	numbers := map[string][]float32{}
	for v := range tr.store.IterVariables() {
		if v.Shape().DType == dtypes.Float32 {
			numbers[v.Path()] = tensors.MustCopyFlatData[float32](v.MustValue())
		}
	}
	return numbers
}

// Ensure that programs on packed variables do what graphs on a store's variables do; that
// the store has the values after Unpack, and that changes to it count from then on; and that
// an update which is not finite changes nothing.
func TestPacked(t *testing.T) {
	backend := enginetest.Backend(t)
	plain, other := newTrainer(t, backend), newTrainer(t, backend)
	exec := model.MustNewExec(backend, plain.store, plain.train)
	packed := nn.Pack(backend, other.store)
	train, apply := packed.NewProgram(other.train), packed.NewProgram(other.apply)
	defer exec.Finalize()
	defer train.Finalize()
	defer apply.Finalize()
	call := func(p *nn.Program, x *tensors.Tensor) []float32 {
		t.Helper()
		out, err := p.Call(x)
		if err != nil {
			t.Fatal(err)
		}
		return tensors.MustCopyFlatData[float32](out[0])
	}
	unpacked := func() map[string][]float32 {
		t.Helper()
		if err := packed.Unpack(); err != nil {
			t.Fatal(err)
		}
		return other.all()
	}
	input := func(scale float32) *tensors.Tensor {
		return tensors.FromFlatDataAndDimensions([]float32{1, 2, 3, -1, 0.5, 1, 3, 2, 1, 0, scale, 1}, 4, 3)
	}
	for i := range 5 {
		exec.MustCall(input(float32(i)))
		call(train, input(float32(i)))
		if i == 2 {
			call(apply, input(1)) // changes nothing
			unpacked()
		}
	}
	after := unpacked()
	for path, want := range plain.all() {
		for j, got := range after[path] {
			if diff := got - want[j]; diff > 1e-4 || diff < -1e-4 {
				t.Fatalf("%s, number %d: %g packed, %g by itself", path, j, got, want[j])
			}
		}
	}

	const layer = "/copy/out/biases"
	was := call(apply, input(1))[0]
	unpacked()
	bias := other.store.GetVariable(layer)
	if err := bias.SetValue(tensors.FromFlatDataAndDimensions([]float32{after[layer][0] + 7}, 1)); err != nil {
		t.Fatal(err)
	}
	if now := call(apply, input(1))[0]; now-was < 6.99 || now-was > 7.01 {
		t.Errorf("a bias plus 7 changes the value from %g to %g", was, now)
	}

	before := unpacked()
	infinite := input(1)
	tensors.MustMutableFlatData(infinite, func(x []float32) { x[0] = x[0] / (x[9]) })
	call(train, infinite)
	for path, want := range before {
		if got := unpacked()[path]; !slices.Equal(got, want) {
			t.Errorf("%s changes in an update that is not finite", path)
		}
	}
}
