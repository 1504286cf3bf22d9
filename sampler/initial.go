package sampler

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// An Initial is the distribution q⁰ that particles start from.
type Initial interface {
	// Draw returns m reparameterised particles per system, [B, M, D], and their
	// log-density, [B, M].
	Draw(noise Noise, m int) (x, logQ *Node)
}

// A Located is an Initial with a mean and a standard deviation, [B, 1, D]. Truncation
// needs both.
type Located interface {
	Located() (mean, std *Node)
}

// DiagonalGaussian is N(mean, diag std²), both [B, D]. They are a network's output or
// variables broadcast to the systems.
type DiagonalGaussian struct {
	Mean, Std *Node
	// Truncate is the number of standard deviations at which each coordinate's normal is
	// truncated. Draws use the inverse distribution function. 0: not truncated.
	Truncate float64
	// Renormalise adds the constant −D·ln P(|z| < Truncate) to the density. The earlier
	// code omits it.
	Renormalise bool
}

// Draw is mean + std·z.
func (g DiagonalGaussian) Draw(noise Noise, m int) (x, logQ *Node) {
	dims := g.Mean.Shape().Dimensions
	shape := shapes.Make(g.Mean.DType(), dims[0], m, dims[1])
	mean, std := InsertAxes(g.Mean, 1), InsertAxes(g.Std, 1)
	var z *Node
	if g.Truncate > 0 {
		z = truncatedNormal(noise.Uniform(ForInitial, 0, shape), g.Truncate)
	} else {
		z = noise.Normal(ForInitial, 0, shape)
	}
	x = Add(mean, Mul(std, z))
	each := Sub(MulScalar(Square(z), -0.5), Log(std))
	logQ = AddScalar(ReduceSum(each, -1), -0.5*float64(dims[1])*math.Log(2*math.Pi))
	if g.Truncate > 0 && g.Renormalise {
		logQ = AddScalar(logQ, -float64(dims[1])*math.Log(math.Erf(g.Truncate/math.Sqrt2)))
	}
	return x, logQ
}

// Located is the mean and standard deviation before truncation.
func (g DiagonalGaussian) Located() (mean, std *Node) {
	return InsertAxes(g.Mean, 1), InsertAxes(g.Std, 1)
}

// truncatedNormal maps u in [0, 1) to a standard normal within ±width.
func truncatedNormal(u *Node, width float64) *Node {
	p := math.Erf(width / math.Sqrt2)
	return MulScalar(erfInv(MulScalar(AddScalar(MulScalar(u, 2), -1), p)), math.Sqrt2)
}

// erfInv is the inverse error function on (−1, 1): the single-precision formula of Giles
// 2010 (relative error below 4e-7), refined by one Newton step on erf.
func erfInv(x *Node) *Node {
	w := Neg(Log(Mul(OneMinus(x), OnePlus(x))))
	near := polynomial(AddScalar(w, -2.5), 2.81022636e-08, 3.43273939e-07, -3.5233877e-06,
		-4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
	far := polynomial(AddScalar(Sqrt(MaxScalar(w, 5)), -3), -0.000200214257, 0.000100950558,
		0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)
	y := Mul(Where(LessThan(w, MulScalar(OnesLike(w), 5)), near, far), x)
	slope := MulScalar(Exp(Neg(Square(y))), 2/math.Sqrt(math.Pi))
	return Sub(y, Div(Sub(Erf(y), x), MaxScalar(slope, 1e-20)))
}

// polynomial evaluates by Horner's rule, the highest power first.
func polynomial(x *Node, c ...float64) *Node {
	sum := MulScalar(OnesLike(x), c[0])
	for _, a := range c[1:] {
		sum = AddScalar(Mul(sum, x), a)
	}
	return sum
}

// GaussianMixture is an equal mixture of K diagonal normals: Means and Stds [B, K, D].
type GaussianMixture struct{ Means, Stds *Node }

// Draw picks a component for each particle; the density is that of the whole mixture.
func (g GaussianMixture) Draw(noise Noise, m int) (x, logQ *Node) {
	dims := g.Means.Shape().Dimensions
	b, k, d := dims[0], dims[1], dims[2]
	dtype := g.Means.DType()
	u := noise.Uniform(ForComponent, 0, shapes.Make(dtype, b, m))
	which := ConvertDType(MinScalar(Floor(MulScalar(u, float64(k))), float64(k-1)), dtypes.Int32)
	chosen := OneHot(which, k, dtype) // [B, M, K]
	z := noise.Normal(ForInitial, 0, shapes.Make(dtype, b, m, d))
	x = Add(Einsum("bmk,bkd->bmd", chosen, g.Means), Mul(Einsum("bmk,bkd->bmd", chosen, g.Stds), z))
	diff := Div(Sub(InsertAxes(x, 2), InsertAxes(g.Means, 1)), InsertAxes(g.Stds, 1)) // [B, M, K, D]
	each := ReduceSum(Sub(MulScalar(Square(diff), -0.5), Log(InsertAxes(g.Stds, 1))), -1)
	logQ = AddScalar(logSumExp(each, 2), -math.Log(float64(k))-0.5*float64(d)*math.Log(2*math.Pi))
	return x, logQ
}

// A Flow is an Initial given by a function, such as a normalising flow's sampler.
type Flow func(noise Noise, m int) (x, logQ *Node)

// Draw calls f.
func (f Flow) Draw(noise Noise, m int) (x, logQ *Node) { return f(noise, m) }

var (
	_ Initial = DiagonalGaussian{}
	_ Located = DiagonalGaussian{}
	_ Initial = GaussianMixture{}
	_ Initial = Flow(nil)
)

// Start draws from q⁰ and runs the sampler.
func Start(at At, q Initial, smp Sampler, t Target, m int, steps Steps) Result {
	x, logQ := q.Draw(at.Noise, m)
	if l, ok := q.(Located); ok {
		at.Mean, at.Std = l.Located()
	}
	return Run(at, smp, t, x, logQ, steps)
}
