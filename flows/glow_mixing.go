package flows

import (
	"math"
	"math/rand/v2"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"gonum.org/v1/gonum/mat"
)

// mixing is an invertible 1×1 convolution y = x·W of C channels, with
//
//	W = P·L·(U + diag(sign·exp(s)))
//
// where L is lower triangular with ones on its diagonal and U strictly upper (section
// 3.2 and equation 10). It starts as a random rotation. P and sign stay as they are and
// follow from channels and seed alone: a checkpoint does not have to hold them.
type mixing struct {
	channels int
	seed     uint64
}

// weight is W, [C, C], and log|det W|, a scalar.
func (m mixing) weight(scope *model.Scope, x *Node) (w, logDet *Node) {
	f := m.factors(scope, x)
	return MatMul(f.permutation, MatMul(f.lower, f.upper)), f.logDet
}

// inverse is W⁻¹ and log|det W|.
func (m mixing) inverse(scope *model.Scope, x *Node) (inverse, logDet *Node) {
	f := m.factors(scope, x)
	// U + diag(d) = (I + U·diag(1/d))·diag(d)
	unit := Mul(f.upper, InsertAxes(Reciprocal(f.diagonal), 0))
	upper := Mul(InsertAxes(Reciprocal(f.diagonal), 1), unitInverse(unit))
	return MatMul(MatMul(upper, unitInverse(f.lower)), Transpose(f.permutation, 0, 1)), f.logDet
}

type factors struct {
	permutation, lower, upper *Node // [C, C]; lower and upper with their diagonals
	diagonal                  *Node // [C]: of upper
	logDet                    *Node
}

func (m mixing) factors(scope *model.Scope, x *Node) factors {
	g, c, dtype := x.Graph(), m.channels, x.DType()
	start := m.rotation()
	square, vector := shapes.Make(dtype, c, c), shapes.Make(dtype, c)
	variable := func(name string, shape shapes.Shape, value any) *Node {
		init := func(g *Graph, _ shapes.Shape) *Node { return ConvertDType(Const(g, value), dtype) }
		return scope.WithInitializer(init).VariableWithShape(name, shape).NodeValue(g)
	}
	below := ConvertDType(LowerTriangular(g, c), dtype) // ones, with the diagonal
	eye := ConvertDType(Diagonal(g, c), dtype)
	logScale := variable("log_scale", vector, start.logScale)
	f := factors{
		permutation: ConvertDType(Const(g, start.permutation), dtype),
		lower:       Add(Mul(variable("lower", square, start.lower), Sub(below, eye)), eye),
		diagonal:    Mul(Exp(logScale), ConvertDType(Const(g, start.sign), dtype)),
		logDet:      ReduceAllSum(logScale),
	}
	strict := Mul(variable("upper", square, start.upper), OneMinus(below))
	f.upper = Add(strict, Mul(eye, InsertAxes(f.diagonal, 0)))
	return f
}

// unitInverse inverts a triangular matrix t, [C, C], with ones on its diagonal. With
// t = I − N and N nilpotent, t⁻¹ = (I + N)(I + N²)(I + N⁴)… ends after log₂ C products;
// one step of Newton's takes away what rounding left. (There is no triangular solve to
// build a graph of, and substitution row by row is C nodes long.)
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

// A rotation is its own LU decomposition.
type rotation struct {
	permutation, lower, upper [][]float64 // lower and upper without their diagonals
	logScale, sign            []float64   // the diagonal of upper
}

func (m mixing) rotation() rotation {
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

	var lu mat.LU
	lu.Factorize(&q)
	var lower, upper mat.TriDense
	lu.LTo(&lower)
	lu.UTo(&upper)
	r := rotation{permutation: grid(c), lower: grid(c), upper: grid(c), logScale: make([]float64, c), sign: make([]float64, c)}
	// Q = P·L·U with row pivots[i] of Q the row i of L·U.
	for i, row := range lu.RowPivots(nil) {
		r.permutation[row][i] = 1
	}
	for i := range c {
		for j := range i {
			r.lower[i][j] = lower.At(i, j)
			r.upper[j][i] = upper.At(j, i)
		}
		r.logScale[i], r.sign[i] = math.Log(math.Abs(upper.At(i, i))), math.Copysign(1, upper.At(i, i))
	}
	return r
}

func grid(n int) [][]float64 {
	g := make([][]float64, n)
	for i := range g {
		g[i] = make([]float64, n)
	}
	return g
}
