package flows

import (
	"math/rand/v2"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"
	"gonum.org/v1/gonum/mat"
)

// mixing is an invertible 1×1 convolution y = x·W of C channels, with
//
//	W = R·L·(U + diag(exp(s)))
//
// where R is a random rotation, L lower triangular with ones on its diagonal and U
// strictly upper triangular. The paper (section 3.2, equation 10) also decomposes the
// rotation, as P·L·U, and starts L and U from it. Training then changes factors that
// multiply each other, and with many channels W soon becomes nearly singular. With a
// separate R, L starts at I and U at zero, and W stays well-conditioned while they are
// small. R is fixed and follows from channels and seed, so checkpoints need not store it.
type mixing struct {
	channels int
	seed     uint64
}

// weight is W, [C, C], and log|det W|, a scalar.
func (m mixing) weight(scope *model.Scope, x *Node) (w, logDet *Node) {
	f := m.factors(scope, x)
	return MatMul(f.rotation, MatMul(f.lower, f.upper)), f.logDet
}

// inverse is W⁻¹ and log|det W|.
func (m mixing) inverse(scope *model.Scope, x *Node) (inverse, logDet *Node) {
	f := m.factors(scope, x)
	// U + diag(d) = (I + U·diag(1/d))·diag(d)
	unit := Mul(f.upper, InsertAxes(Reciprocal(f.diagonal), 0))
	upper := Mul(InsertAxes(Reciprocal(f.diagonal), 1), unitInverse(unit))
	return MatMul(MatMul(upper, unitInverse(f.lower)), Transpose(f.rotation, 0, 1)), f.logDet
}

type factors struct {
	rotation, lower, upper *Node // [C, C]; lower and upper include their diagonals
	diagonal               *Node // [C]: diagonal of upper
	logDet                 *Node
}

func (m mixing) factors(scope *model.Scope, x *Node) factors {
	g, c, dtype := x.Graph(), m.channels, x.DType()
	zero := scope.WithInitializer(initializer.Zero)
	variable := func(name string, dims ...int) *Node {
		return zero.VariableWithShape(name, shapes.Make(dtype, dims...)).NodeValue(g)
	}
	below := ConvertDType(LowerTriangular(g, c), dtype) // ones, with the diagonal
	eye := ConvertDType(Diagonal(g, c), dtype)
	logScale := bounded(variable("log_scale", c))
	f := factors{
		rotation: ConvertDType(Const(g, m.rotation()), dtype),
		lower:    Add(Mul(variable("lower", c, c), Sub(below, eye)), eye),
		diagonal: Exp(logScale),
		logDet:   ReduceAllSum(logScale),
	}
	f.upper = Add(Mul(variable("upper", c, c), OneMinus(below)), Mul(eye, InsertAxes(f.diagonal, 0)))
	return f
}

// unitInverse inverts a triangular matrix t, [C, C], with ones on its diagonal. With t =
// I − N and N nilpotent, t⁻¹ = (I + N)(I + N²)(I + N⁴)… ends after log₂ C products. One
// Newton step corrects rounding errors. GoMLX has no triangular solve, and substitution
// row by row needs C nodes.
func unitInverse(t *Node) *Node {
	c := t.Shape().Dim(0)
	eye := ConvertDType(Diagonal(t.Graph(), c), t.DType())
	n := Sub(eye, t)
	inverse := Add(eye, n)
	for power := 2; power < c; power *= 2 {
		n = MatMul(n, n)
		inverse = MatMul(inverse, Add(eye, n))
	}
	return MatMul(inverse, Sub(MulScalar(eye, 2), MatMul(t, inverse)))
}

// rotation is R, [C, C].
func (m mixing) rotation() [][]float64 {
	c := m.channels
	rng := rand.New(rand.NewPCG(m.seed, uint64(c)))
	random := mat.NewDense(c, c, nil)
	for i := range c {
		for j := range c {
			random.Set(i, j, rng.NormFloat64())
		}
	}
	var qr mat.QR
	qr.Factorize(random)
	var q mat.Dense
	qr.QTo(&q)
	rows := make([][]float64, c)
	for i := range rows {
		rows[i] = mat.Row(nil, i, &q)
	}
	return rows
}
