package sampler_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"gonum.org/v1/gonum/floats/scalar"
	"gonum.org/v1/gonum/mat"

	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// tilted is −½ Σ_d h_d x_d² + Σ_d cos x_d: a log p̄ whose Hessian is diagonal, and differs
// from place to place.
func tilted(x *Node) *Node {
	d := x.Shape().Dimensions[2]
	h := AddScalar(MulScalar(Iota(x.Graph(), shapes.Make(x.DType(), 1, 1, d), 2), 1/float64(d)), 0.5)
	return ReduceSum(Add(MulScalar(Mul(h, Square(x)), -0.5), Cos(x)), -1)
}

// tiltedHessian is its Hessian's diagonal entry d of D at x.
func tiltedHessian(x float64, i, d int) float64 { return -(float64(i)/float64(d) + 0.5) - math.Cos(x) }

// A jacobians holds J_i = ∂φ_i/∂x_i of every particle by central differences.
type jacobians struct {
	m, d    int
	x       []float64
	j       []*mat.Dense
	base    map[string][]float64 // the sampler's own figures at x
	weights []float64            // the probe
}

// signsNoise has the same probe at every draw.
type signsNoise struct {
	sampler.KeyNoise
	flat []float64
}

func (n signsNoise) Sign(_ sampler.Use, _ int, shape shapes.Shape) *Node {
	g, dims := n.Key.Normal(shape).Graph(), shape.Dimensions
	one := ConvertDType(ConstTensor(g, tensors.FromFlatDataAndDimensions(n.flat, 1, dims[1], dims[2])), shape.DType)
	return BroadcastToDims(one, dims...)
}

// differentiate evaluates one step of v at x and, all in one batch of systems, at x with
// one coordinate of one particle moved either way.
func differentiate(t *testing.T, v sampler.SVGD, m, d int) jacobians {
	t.Helper()
	const h = 1e-5
	r := jacobians{m: m, d: d, x: normals(11, m*d), base: map[string][]float64{}, weights: make([]float64, m*d)}
	for i, z := range normals(12, m*d) {
		r.weights[i] = math.Copysign(1, z)
	}
	batch := append([]float64(nil), r.x...)
	for at := range r.x {
		for _, sign := range []float64{1, -1} {
			moved := append([]float64(nil), r.x...)
			moved[at] += sign * h
			batch = append(batch, moved...)
		}
	}
	var names []string
	exec := MustNewExec(backendOf(t), func(x, state *Node) []*Node {
		at := sampler.At{Noise: signsNoise{sampler.KeyNoise{Key: random.NewKey(state)}, r.weights}}
		s := sampler.Run(at, v, sampler.LogDensity(tilted), x, ZerosLike(ReduceSum(x, -1)), sampler.Steps{Max: 1})
		names = nil
		var out []*Node
		for name, node := range map[string]*Node{
			"phi": s.Infos[0].Phi, "trace": s.Infos[0].Trace, "square": s.Infos[0].JacobianSq, "logdet": s.Infos[0].LogDet, "used": s.Infos[0].Used,
		} {
			if node != nil {
				names, out = append(names, name), append(out, node)
			}
		}
		return out
	})
	state, err := RNGStateFromSeed(1)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Call(tensors.FromFlatDataAndDimensions(batch, 1+2*m*d, m, d), state)
	if err != nil {
		t.Fatal(err)
	}
	systems := 1 + 2*m*d
	var phi []float64
	for i, name := range names {
		flat := flatten(out[i])
		r.base[name] = flat[:len(flat)/systems]
		if name == "phi" {
			phi = flat
		}
	}
	for i := range m {
		j := mat.NewDense(d, d, nil)
		for col := range d {
			up := phi[(1+2*(i*d+col))*m*d:]
			down := phi[(2+2*(i*d+col))*m*d:]
			for row := range d {
				j.Set(row, col, (up[i*d+row]-down[i*d+row])/(2*h))
			}
		}
		r.j = append(r.j, j)
	}
	return r
}

// kernelPart is J_i without H_i/M.
func (r jacobians) kernelPart(i int) *mat.Dense {
	a := mat.DenseCopyOf(r.j[i])
	for k := range r.d {
		a.Set(k, k, a.At(k, k)-tiltedHessian(r.x[i*r.d+k], k, r.d)/float64(r.m))
	}
	return a
}

func (r jacobians) compare(t *testing.T, what string, want func(i int) float64) {
	t.Helper()
	for i := range r.m {
		if got, w := r.base[what][i], want(i); !scalar.EqualWithinAbsOrRel(got, w, 1e-8, 1e-6) {
			t.Errorf("%s of particle %d: %.10g, by differences %.10g", what, i, got, w)
		}
	}
}

// Ensure that T, Tr JᵀJ and log|det(I + εJ)| are those of the Jacobian that central
// differences of φ give: both kernels, with a bandwidth per dimension and without, in
// few dimensions and in many.
func TestJacobianAgainstDifferences(t *testing.T) {
	perDimension := func(d int) sampler.Scale { return perDimensionScale{d} }
	for _, c := range []struct {
		name   string
		kernel sampler.Kernel
		scale  func(d int) sampler.Scale
	}{
		{"rbf", sampler.RBF{}, func(d int) sampler.Scale { return sampler.Fixed(0.8 * math.Sqrt(float64(d))) }},
		{"imq", sampler.IMQ{}, func(d int) sampler.Scale { return sampler.Fixed(0.8 * math.Sqrt(float64(d))) }},
		{"per-dimension", sampler.RBF{}, perDimension},
	} {
		for _, size := range []struct{ m, d int }{{4, 3}, {3, 50}} {
			t.Run(fmt.Sprintf("%s/D=%d", c.name, size.d), func(t *testing.T) {
				v := sampler.SVGD{
					Kernel: c.kernel, Bandwidth: c.scale(size.d), StepSize: sampler.Fixed(0.3),
					Trace: sampler.Divergence{HessianTrace: true}, Bound: sampler.Bound{Kind: sampler.Spectral},
				}
				r := differentiate(t, v, size.m, size.d)
				r.compare(t, "trace", func(i int) float64 { return mat.Trace(r.j[i]) })
				r.compare(t, "square", func(i int) float64 { // ‖A‖² + (2/n)vᵀA(Hv) + ‖Hv‖²/n²
					a := r.kernelPart(i)
					probe := mat.NewVecDense(size.d, r.weights[i*size.d:(i+1)*size.d])
					hv := mat.NewVecDense(size.d, nil)
					for k := range size.d {
						hv.SetVec(k, tiltedHessian(r.x[i*size.d+k], k, size.d)*probe.AtVec(k)/float64(size.m))
					}
					norm := mat.Norm(a, 2)
					return norm*norm + 2*mat.Inner(probe, a, hv) + mat.Dot(hv, hv)
				})
				v.Bound.Probe = true
				r = differentiate(t, v, size.m, size.d)
				r.compare(t, "square", func(i int) float64 { // ‖Jv‖²
					var jv mat.VecDense
					jv.MulVec(r.j[i], mat.NewVecDense(size.d, r.weights[i*size.d:(i+1)*size.d]))
					return mat.Dot(&jv, &jv)
				})
				if size.d > 10 {
					return
				}
				v.Density, v.Bound = sampler.ExactLogDet, sampler.Bound{}
				r = differentiate(t, v, size.m, size.d)
				r.compare(t, "logdet", func(i int) float64 {
					a := mat.DenseCopyOf(r.j[i])
					a.Scale(0.3, a)
					for k := range size.d {
						a.Set(k, k, 1+a.At(k, k))
					}
					logDet, _ := mat.LogDet(a)
					return logDet
				})
			})
		}
	}
}

// perDimensionScale is σ_d from √D/2 to √D.
type perDimensionScale struct{ d int }

func (p perDimensionScale) Value(_ sampler.At, q sampler.Particles) *Node {
	root := math.Sqrt(float64(p.d))
	each := Iota(q.X.Graph(), shapes.Make(dtypes.Float64, 1, 1, p.d), 2)
	return ConvertDType(AddScalar(MulScalar(each, root/2/float64(p.d)), root/2), q.X.DType())
}
