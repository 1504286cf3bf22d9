package nn

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	gomlxnn "github.com/gomlx/gomlx/ml/nn"
)

// A Network is a multi-layer perceptron.
type Network struct {
	Hidden     []int  `yaml:"hidden" want:"> 0"`                         // width of each hidden layer
	Activation string `yaml:"activation" want:"relu|elu|tanh|silu|gelu"` // after every hidden layer
}

// Apply builds the network under scope: x [..., I] -> [..., out]. Weights and
// biases start as in PyTorch's Linear, and so in Stable-Baselines3:
// U(−1/√I, 1/√I).
func (n Network) Apply(scope *model.Scope, x *Node, out int) *Node {
	for i, width := range n.Hidden {
		x = Activate(n.Activation, Linear(scope.At("hidden_%d", i), x, width, x.Shape().Dim(-1), true))
	}
	return Linear(scope.At("out"), x, out, x.Shape().Dim(-1), true)
}

// Linear builds a dense layer: x [..., I] -> [..., out]. Its variables start from
// U(−1/√fanIn, 1/√fanIn); fanIn is I, unless several layers add up to one.
//
// They are drawn here, from the store's model.ParamInitialSeed and the variable's
// path: as graphs, the initial values took a second and a half to compile.
func Linear(scope *model.Scope, x *Node, out, fanIn int, bias bool) *Node {
	start := func(name string, dims ...int) *Node {
		v := scope.GetVariable(name)
		if v == nil {
			v = scope.VariableWithValue(name, uniform(scope, name, 1/math.Sqrt(float64(fanIn)), dims...))
		}
		return v.NodeValue(x)
	}
	weights := start("weights", x.Shape().Dim(-1), out)
	var offset *Node
	if bias {
		offset = start("biases", out)
	}
	return gomlxnn.Dense(x, weights, offset, compute.DenseLayoutInputOutputs)
}

// uniform draws from U(−limit, limit), as many numbers as a variable has.
func uniform(scope *model.Scope, name string, limit float64, dims ...int) *tensors.Tensor {
	path := fnv.New64a()
	path.Write([]byte(model.JoinPath(scope.Scope(), name)))
	seed := model.GetParamOr(scope, model.ParamInitialSeed, int64(0))
	rng := rand.New(rand.NewPCG(uint64(seed), path.Sum64()))
	t := tensors.FromShape(shapes.Make(dtypes.Float32, dims...))
	tensors.MustMutableFlatData(t, func(flat []float32) {
		for i := range flat {
			flat[i] = float32(limit * (2*rng.Float64() - 1))
		}
	})
	return t
}

// Validate says what is wrong with a network that no graph can be made of.
func (n Network) Validate() error {
	if len(n.Hidden) == 0 {
		return fmt.Errorf("hidden: no layers")
	}
	return nil
}
