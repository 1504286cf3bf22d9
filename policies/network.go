package policies

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/layers"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"
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
		x = Activate(n.Activation, linear(scope.At("hidden_%d", i), x, width))
	}
	return linear(scope.At("out"), x, out)
}

// linear is one dense layer.
func linear(scope *model.Scope, x *Node, out int) *Node {
	return layers.DenseWithBias(scope.WithInitializer(Uniform(scope, x.Shape().Dim(-1))), x, out)
}

// Uniform starts variables from U(−1/√fanIn, 1/√fanIn).
func Uniform(scope *model.Scope, fanIn int) model.VariableInitializer {
	limit := 1 / math.Sqrt(float64(fanIn))
	return func(g *Graph, shape shapes.Shape) *Node {
		return AddScalar(MulScalar(scope.RandomUniform(g, shape), 2*limit), -limit)
	}
}

// Activate applies a hidden layer's non-linearity.
func Activate(name string, x *Node) *Node {
	switch name {
	case "relu":
		return activation.Relu(x)
	case "elu": // α = 1; the inner Min keeps the branch that is not taken finite. Expm1 has no gradient
		return Where(GreaterThan(x, ZerosLike(x)), x, MinusOne(Exp(MinScalar(x, 0.0))))
	case "tanh":
		return Tanh(x)
	case "silu":
		return Mul(x, Sigmoid(x))
	case "gelu":
		return activation.Gelu(x)
	}
	exceptions.Panicf("policies: activation %q, want relu, elu, tanh, silu or gelu", name)
	return nil
}

// Validate says what is wrong with a network that no graph can be made of.
func (n Network) Validate() error {
	if len(n.Hidden) == 0 {
		return fmt.Errorf("hidden: no layers")
	}
	return nil
}
