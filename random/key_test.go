package random_test

import (
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/random"
)

// Ensure that a key is a value: the same key gives the same numbers, folded keys others.
func TestKeyFold(t *testing.T) {
	state, err := RNGStateFromSeed(7)
	if err != nil {
		t.Fatal(err)
	}
	exec := MustNewExec(enginetest.Backend(t), func(state *Node) []*Node {
		k := random.NewKey(state)
		shape := shapes.Make(dtypes.Float64, 1000)
		return []*Node{
			k.Fold(0).Fold(1).Normal(shape), k.Fold(0).Fold(1).Normal(shape),
			k.Fold(1).Fold(1).Normal(shape), k.Fold(1).Fold(0).Normal(shape),
		}
	})
	out := exec.MustCall(state)
	a := tensors.MustCopyFlatData[float64](out[0])
	b := tensors.MustCopyFlatData[float64](out[1])
	c := tensors.MustCopyFlatData[float64](out[2])
	d := tensors.MustCopyFlatData[float64](out[3])
	var dot float64
	for i := range a {
		if a[i] == d[i] {
			t.Fatal("folds commute: a draw for one use at one step is another's")
		}
		if a[i] != b[i] {
			t.Fatalf("draw %d of one key: %g and %g", i, a[i], b[i])
		}
		dot += a[i] * c[i]
	}
	if dot /= 1000; dot > 0.15 || dot < -0.15 { // standard error 0.03
		t.Errorf("correlation %g between two folds", dot)
	}
}
