package nn

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

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
	Hidden     []int  `yaml:"hidden" want:"> 0, <= 16384"`               // width of each hidden layer
	Activation string `yaml:"activation" want:"relu|elu|tanh|silu|gelu"` // after every hidden layer

	// Norm selects how the inputs of layers are normalised.
	//
	//	none:  no normalisation
	//	batch: over the batch, as in CrossQ (Bhatt et al. 2024): the input of every layer,
	//	       including the network's own; see BatchNorm
	//	layer: over the features, between a hidden layer and its activation (Ba et al.
	//	       2016), as in DroQ
	Norm string `yaml:"norm" want:"none|batch|layer"`
}

// Apply builds the network under scope: x [..., I] -> [..., out]. Weights and biases
// start from U(−1/√I, 1/√I), as in PyTorch's Linear and so in Stable-Baselines3. how
// selects the statistics of batch normalisation.
func (n Network) Apply(scope *model.Scope, x *Node, out int, how Statistics) *Node {
	for i, width := range n.Hidden {
		at := scope.At("hidden_%d", i)
		x = n.Activate(at, n.Dense(at, x, width, x.Shape().Dim(-1), true, how))
	}
	return n.Dense(scope.At("out"), x, out, x.Shape().Dim(-1), true, how)
}

// Dense is Linear with its input normalised if Norm is batch.
func (n Network) Dense(scope *model.Scope, x *Node, out, fanIn int, bias bool, how Statistics) *Node {
	if n.Norm != "batch" {
		return Linear(scope, x, out, fanIn, bias)
	}
	norm := BatchNorm{scope.At("norm"), x.Shape().Dim(-1)}
	var scale, shift *Node
	if how.Learn {
		x, scale, shift = norm.learn(x, how)
	} else {
		scale, shift = norm.Affine(x.Graph(), how)
	}
	if rows := x.Shape().Size() / x.Shape().Dim(-1); rows < x.Shape().Dim(-1) {
		return Linear(scope, Add(Mul(x, expand(scale, x)), expand(shift, x)), out, fanIn, bias)
	}
	// With many rows, scaling the weights is cheaper than scaling the rows.
	weights, offset := dense(scope, x.Graph(), x.Shape().Dim(-1), out, fanIn, bias)
	moved := Squeeze(Dot(InsertAxes(shift, 0), weights).Product(), 0) // [out]
	if offset != nil {
		moved = Add(moved, offset)
	}
	return affineOf(x, Mul(InsertAxes(scale, 1), weights), moved)
}

// Activate applies a hidden layer's activation, after layer normalisation if Norm is
// layer.
func (n Network) Activate(scope *model.Scope, x *Node) *Node {
	if n.Norm == "layer" {
		x = LayerNorm(scope.At("norm"), x)
	}
	return Activate(n.Activation, x)
}

// Linear builds a dense layer: x [..., I] -> [..., out]. Its variables start from
// U(−1/√fanIn, 1/√fanIn). fanIn is I unless several layers are added up.
// The initial values are drawn on the host, from the store's model.ParamInitialSeed and
// the variable's path: drawn in a graph, they took 1.5 seconds to compile.
func Linear(scope *model.Scope, x *Node, out, fanIn int, bias bool) *Node {
	weights, offset := dense(scope, x.Graph(), x.Shape().Dim(-1), out, fanIn, bias)
	return affineOf(x, weights, offset)
}

// affineOf is x·weights + offset, [..., I] -> [..., O]; without the offset if it is nil.
func affineOf(x, weights, offset *Node) *Node {
	in, out := weights.Shape().Dim(0), weights.Shape().Dim(1)
	if out > mostNarrow || in < leastWide || x.Shape().Size() < in*leastRows {
		return gomlxnn.Dense(x, weights, offset, compute.DenseLayoutInputOutputs)
	}
	y := narrowProduct(x, weights)
	if offset != nil {
		y = Add(y, expand(offset, y))
	}
	return y
}

// A layer is narrow if it has at most mostNarrow outputs, at least leastWide inputs, and
// leastRows rows.
const (
	mostNarrow = 16
	leastWide  = 128
	leastRows  = 32
)

// narrowProduct is x·w for a narrow layer, [..., I]·[I, O] -> [..., O], with a gradient that XLA
// computes three times as fast. The gradient of w is xᵀ·g. XLA transposes x for it, which is
// large, and for one column of g it has a slow loop. This makes it (gᵀ·x)ᵀ, of at least two
// columns. XLA would turn that into xᵀ·g again, were there not a maximum in between, which
// changes no finite number.
func narrowProduct(x, w *Node) *Node {
	in, out := w.Shape().Dim(0), w.Shape().Dim(1)
	if out == 1 {
		w = Concatenate([]*Node{w, ZerosLike(w)}, 1)
	}
	transposed := IdentityWithCustomGradient(Transpose(w, 0, 1), func(_, g *Node) *Node { return MaxScalar(g, -math.MaxFloat32) })
	dims := append(slices.Clone(x.Shape().Dimensions[:x.Rank()-1]), out)
	y := DotGeneral(Reshape(x, -1, in), []int{1}, nil, transposed, []int{1}, nil)
	if out == 1 {
		y = ReduceSum(y, 1) // a Slice could not be differentiated three times
	}
	return Reshape(y, dims...)
}

// dense returns a dense layer's weights [in, out] and biases [out]; nil without bias.
func dense(scope *model.Scope, g *Graph, in, out, fanIn int, bias bool) (weights, biases *Node) {
	start := func(name string, dims ...int) *Node {
		v := scope.GetVariable(name)
		if v == nil {
			v = scope.VariableWithValue(name, uniform(scope, name, 1/math.Sqrt(float64(fanIn)), dims...))
		}
		return v.NodeValue(g)
	}
	weights = start("weights", in, out)
	if bias {
		biases = start("biases", out)
	}
	return weights, biases
}

// uniform draws initial values of a variable from U(−limit, limit).
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

// Validate reports settings that cannot be built.
func (n Network) Validate() error {
	if len(n.Hidden) == 0 {
		return fmt.Errorf("hidden: want at least one layer")
	}
	return nil
}
