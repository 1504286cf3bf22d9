package nn_test

import (
	"math"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/nn"
)

// Ensure that a copy takes over the values of its network, follows it by a share, is not
// trained itself, and needs no counterparts of the optimiser's variables.
func TestCopy(t *testing.T) {
	backend, store := enginetest.PureGo(t), model.NewStore()
	net := nn.Network{Hidden: []int{4}, Activation: "tanh", Norm: "none"}
	c := nn.Copy{Store: store, From: "net", To: "target/net"}
	update := func(scope *model.Scope, in []*Node) *Node {
		loss := ReduceAllMean(Square(net.Apply(scope.At("net"), in[0], 1, nn.Statistics{})))
		nn.Adam{Epsilon: 1e-8}.Step(scope, nn.Part{Scope: "net", Loss: loss, Rate: 0.1})
		c.Follow(in[0].Graph(), 0.25)
		return loss
	}
	x := tensors.FromFlatDataAndDimensions([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	err := nn.Create(backend, store, 1, []shapes.Shape{shapes.Make(dtypes.Float32, 2, 3)}, func(scope *model.Scope, in []*Node) {
		net.Apply(scope.At("target").At("net"), in[0], 1, nn.Statistics{})
		nn.Freeze(scope.At("target"))
		update(scope, in)
	})
	if err != nil {
		t.Fatal(err)
	}
	const weights = "/net/out/weights"
	values := func(path string) []float32 {
		return tensors.MustCopyFlatData[float32](store.GetVariable(path).MustValue())
	}
	if values(weights)[0] == values("/target" + weights)[0] {
		t.Fatal("both start equal: nothing is tested")
	}
	if err := c.Reset(); err != nil {
		t.Fatal(err)
	}
	before := values(weights)
	for i, x := range values("/target" + weights) {
		if x != before[i] {
			t.Errorf("weight %d of the copy is %g, want %g", i, x, before[i])
		}
	}
	exec := model.MustNewExec(backend, store, update)
	defer exec.Finalize()
	if _, err := exec.Call(x); err != nil {
		t.Fatal(err)
	}
	after, followed := values(weights), values("/target"+weights)
	for i := range after {
		want := 0.75*float64(before[i]) + 0.25*float64(after[i])
		if after[i] == before[i] || math.Abs(float64(followed[i])-want) > 1e-6 {
			t.Errorf("weight %d went from %g to %g, its copy to %g, want %g", i, before[i], after[i], followed[i], want)
		}
	}
	c.To = "elsewhere"
	if err := c.Reset(); err == nil || !strings.Contains(err.Error(), "has no copy /elsewhere/") {
		t.Errorf("error %v", err)
	}
}
