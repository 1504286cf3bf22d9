package nn

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/support/exceptions"
)

// Activate applies a hidden layer's non-linearity.
func Activate(name string, x *Node) *Node {
	switch name {
	case "relu":
		return activation.Relu(x)
	case "elu":
		return ELU(x)
	case "tanh":
		return Tanh(x)
	case "silu":
		return Mul(x, Sigmoid(x))
	case "gelu":
		return activation.Gelu(x)
	}
	exceptions.Panicf("nn: activation %q, want relu, elu, tanh, silu or gelu", name)
	return nil
}

// ELU is x above zero and exp(x) − 1 below it, for finite x. It is computed as x(1−m) +
// exp(xm) − 1, where the constant mask m is 1 below zero. The derivatives of products are
// products, up to the third order, and cheaper than those of Where and Min.
func ELU(x *Node) *Node {
	below := StopGradient(ConvertDType(LessThan(x, ZerosLike(x)), x.DType()))
	return Add(Mul(x, OneMinus(below)), MinusOne(Exp(Mul(x, below))))
}
