package sampler_test

import (
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/sampler"
)

// Ensure that a network of widths 7 and 3 has layers of 7 and of 3, under the names that
// checkpoints have.
func TestNetworkHasItsWidths(t *testing.T) {
	store := model.NewStore()
	defer store.Finalize()
	n := sampler.Network{Name: "sigma", Init: 0.4, Hidden: []int{7, 3}}
	exec, err := model.NewExec(enginetest.PureGo(t), store, func(scope *model.Scope, obs *Node) *Node {
		return n.Value(sampler.At{Scope: scope, Cond: obs}, sampler.Particles{})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	out, err := exec.Call([][]float64{{1, 2}, {3, 4}})
	if err != nil {
		t.Fatal(err)
	}
	if got := out[0].Shape().Dimensions; !slices.Equal(got, []int{2, 1, 1}) {
		t.Errorf("shape %v", got)
	}
	for path, want := range map[string][]int{
		"/sigma/fnn_hidden_layer_0/weights": {2, 7}, "/sigma/fnn_hidden_layer_0/biases": {7},
		"/sigma/fnn_hidden_layer_1/weights": {7, 3}, "/sigma/fnn_output_layer/weights": {3, 1},
	} {
		v := store.GetVariable(path)
		if v == nil {
			t.Errorf("no variable %s", path)
		} else if got := v.Shape().Dimensions; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}
