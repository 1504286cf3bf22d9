package ebm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/internal/enginetest"
)

// normals are n numbers of a seed.
func normals(seed uint64, n int) []float64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]float64, n)
	for i := range out {
		out[i] = rng.NormFloat64()
	}
	return out
}

// Ensure that a convolution is the sum that it is called after.
func TestConvIsTheSum(t *testing.T) {
	const n, side, in, out, k = 2, 5, 3, 2, 3
	x, w := normals(1, n*side*side*in), normals(2, k*k*in*out)
	got := MustExecOnce(enginetest.Compiled(t), func(x, w *Node) *Node {
		return conv(Reshape(x, n, side, side, in), Reshape(w, k, k, in, out))
	}, x, w)
	y := tensors.MustCopyFlatData[float64](got)
	for i := range y {
		f, col, row, b := i%out, i/out%side, i/out/side%side, i/out/side/side
		want := 0.0
		for dr := range k {
			for dc := range k {
				r, c := row+dr-1, col+dc-1
				if r < 0 || c < 0 || r >= side || c >= side {
					continue
				}
				for ch := range in {
					want += x[((b*side+r)*side+c)*in+ch] * w[((dr*k+dc)*in+ch)*out+f]
				}
			}
		}
		if math.Abs(y[i]-want) > 1e-12 {
			t.Fatalf("output %d is %g, want %g", i, y[i], want)
		}
	}
}

// derivatives of a small energy along directions: f, u·∇f, v·∇(u·∇f) and the same once
// more along w, by automatic differentiation. The first direction is of pictures and
// weights, the second of pictures, the third of weights: what training a sampler takes.
func directional(kind string, order int) func(x, u, v, w *Node) *Node {
	return func(x, u, v, w *Node) *Node {
		f := smallEnergy(kind, x)
		for _, along := range []*Node{u, v, w}[:order] {
			f = ReduceAllSum(Mul(Gradient(f, x)[0], along))
		}
		return f
	}
}

const smallSide, smallIn = 6, 2

// smallEnergy is a network's answer for two pictures, as a function of all its weights
// and the pictures in one vector: a derivative along a direction then mixes them.
func smallEnergy(kind string, all *Node) *Node {
	at := 0
	take := func(dims ...int) *Node {
		size := shapes.Make(dtypes.Float64, dims...).Size()
		at += size
		// Slice has no second gradient
		return Reshape(DynamicSlice(all, []*Node{Const(all.Graph(), int32(at-size))}, []int{size}), dims...)
	}
	e := Energy{Kind: kind, Channels: []int{3, 4}, Blocks: 1, Patch: 1}
	n := &network{Energy: e, shape: Shape{smallSide, smallSide, smallIn}}
	x := take(2, smallSide, smallSide, smallIn)
	if kind == "residual" {
		n.kernels = []*Node{take(3, 3, smallIn, 3), take(3, 3, 3, 3), take(1, 1, smallIn, 3), take(3, 3, 3, 4), take(3, 3, 4, 4), take(1, 1, 3, 4)}
		n.head = take(3*3*4, 1)
	} else {
		n.kernels = []*Node{take(3, 3, smallIn, 3), take(3, 3, 3, 4)}
		n.hidden, n.head = take(3*3*4, 2), take(2, 1)
	}
	if at != all.Shape().Size() {
		panic(fmt.Errorf("%d of %d numbers used", at, all.Shape().Size()))
	}
	return ReduceAllSum(n.f(x))
}

func smallSize(kind string) int {
	if kind == "residual" {
		return 2*36*2 + 9*2*3 + 9*3*3 + 2*3 + 9*3*4 + 9*4*4 + 3*4 + 36
	}
	return 2*36*2 + 9*2*3 + 9*3*4 + 36*2 + 2
}

// Ensure that derivatives of the network up to the third order, by pictures and weights
// at once, are what central differences of the order below say.
func TestThirdOrder(t *testing.T) {
	for _, kind := range []string{"conv", "residual"} {
		size := smallSize(kind)
		x, u, v, w := normals(3, size), normals(4, size), normals(5, size), normals(6, size)
		for i := range x {
			x[i] *= 0.5
		}
		for order := 1; order <= 3; order++ {
			t.Run(fmt.Sprintf("%s %d", kind, order), func(t *testing.T) {
				backend := enginetest.Compiled(t)
				along := [][]float64{u, v, w}[order-1]
				exact := MustExecOnce(backend, directional(kind, order), x, u, v, w).Value().(float64)
				below, err := NewExec(backend, directional(kind, order-1))
				if err != nil {
					t.Fatal(err)
				}
				const h = 1e-5
				at := func(by float64) float64 {
					moved := make([]float64, size)
					for i := range moved {
						moved[i] = x[i] + by*along[i]
					}
					return below.MustCall(moved, u, v, w)[0].Value().(float64)
				}
				numeric := (at(h) - at(-h)) / (2 * h)
				if math.Abs(exact-numeric) > 1e-6*(1+math.Abs(exact)) || exact == 0 {
					t.Errorf("order %d: %.10g by differentiation, %.10g by differences", order, exact, numeric)
				}
			})
		}
	}
}

// Ensure that convolutions of other kinds keep GoMLX's own rule: the gradient of a
// dilated one and of one with strides is what differences say.
func TestOtherConvolutionsKeepTheirRule(t *testing.T) {
	const n, side, in, out, k = 1, 6, 2, 2, 3
	x, w := normals(1, n*side*side*in), normals(2, k*k*in*out)
	for name, apply := range map[string]func(x, w *Node) *Node{
		"dilated": func(x, w *Node) *Node { return Convolve(x, w).DilationPerAxis(2, 2).PadSame().Done() },
		"strided": func(x, w *Node) *Node { return Convolve(x, w).Strides(2).PadSame().Done() },
		"uneven":  func(x, w *Node) *Node { return Convolve(x, w).PaddingPerDim([][2]int{{2, 0}, {1, 1}}).Done() },
	} {
		t.Run(name, func(t *testing.T) {
			sum := func(x, w *Node) *Node {
				return ReduceAllSum(Sin(apply(Reshape(x, n, side, side, in), Reshape(w, k, k, in, out))))
			}
			backend := enginetest.Compiled(t)
			grad := tensors.MustCopyFlatData[float64](MustExecOnce(backend, func(x, w *Node) *Node { return Gradient(sum(x, w), x)[0] }, x, w))
			value, err := NewExec(backend, sum)
			if err != nil {
				t.Fatal(err)
			}
			const h = 1e-6
			for _, i := range []int{0, 17, 40} {
				at := func(by float64) float64 {
					moved := append([]float64(nil), x...)
					moved[i] += by
					return value.MustCall(moved, w)[0].Value().(float64)
				}
				if numeric := (at(h) - at(-h)) / (2 * h); math.Abs(numeric-grad[i]) > 1e-6 {
					t.Errorf("∂/∂x_%d is %g, differences say %g", i, grad[i], numeric)
				}
			}
		})
	}
}

// Ensure that power iterations bring a kernel's largest singular value to one.
func TestSpectral(t *testing.T) {
	backend, store := enginetest.Compiled(t), model.NewStore()
	store.RootScope().SetParam(model.ParamInitialSeed, int64(1))
	e := Energy{Kind: "conv", Channels: []int{4}, Blocks: 1, Patch: 1, Spectral: true}
	exec, err := model.NewExec(backend, store, func(scope *model.Scope, stretch *Node) *Node {
		n := e.build(scope, stretch.Graph(), Shape{4, 4, 2})
		for _, step := range n.follow {
			step()
		}
		// the longest of many directions through the matrix, from below
		m := Reshape(n.kernels[0], -1, 4)
		gram := Einsum("io,ip->op", m, m)
		for range 6 {
			gram = Dot(gram, gram).Product()
		}
		return Pow(ReduceAllSum(Mul(gram, ConvertDType(Diagonal(gram.Graph(), 4), gram.DType()))), Scalar(gram.Graph(), gram.DType(), 1.0/128))
	})
	if err != nil {
		t.Fatal(err)
	}
	var norm float32
	for range 60 {
		norm = exec.MustCall(float32(1))[0].Value().(float32)
	}
	if math.Abs(float64(norm)-1) > 0.02 { // (Σ s^128)^(1/128) is at most 4^(1/128) above
		t.Errorf("largest singular value %g after 60 updates, want 1", norm)
	}
}
