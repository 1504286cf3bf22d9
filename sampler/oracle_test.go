package sampler_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"gonum.org/v1/gonum/mat"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/sampler"
)

var oracleDir = flag.String("oracle", "testdata/oracle", "folder of numeric cases of the reference sampler (*.json)")

// An array is a JSON array of numbers of any depth, flat.
type array struct {
	Dims []int
	Flat []float64
}

func (a *array) UnmarshalJSON(data []byte) error {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	a.Dims, a.Flat = nil, nil
	for at := v; ; {
		list, ok := at.([]any)
		if !ok {
			break
		}
		a.Dims = append(a.Dims, len(list))
		if len(list) == 0 {
			break
		}
		at = list[0]
	}
	return a.flatten(v)
}

func (a *array) flatten(v any) error {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			if err := a.flatten(x); err != nil {
				return err
			}
		}
	case float64:
		a.Flat = append(a.Flat, v)
	case bool:
		a.Flat = append(a.Flat, map[bool]float64{true: 1}[v])
	case nil:
		a.Flat = append(a.Flat, math.NaN())
	default:
		return fmt.Errorf("oracle: %T in an array", v)
	}
	return nil
}

// tensor is the array in a type and, if dims are given, another shape.
func (a array) tensor(dtype dtypes.DType, dims ...int) *tensors.Tensor {
	if dims == nil {
		dims = a.Dims
	}
	if dtype == dtypes.Float64 {
		return tensors.FromFlatDataAndDimensions(a.Flat, dims...)
	}
	flat := make([]float32, len(a.Flat))
	for i, x := range a.Flat {
		flat[i] = float32(x)
	}
	return tensors.FromFlatDataAndDimensions(flat, dims...)
}

type scaleOf struct {
	Kind  string
	Value array
}

// An oracleCase is one file.
type oracleCase struct {
	Name   string
	Target struct {
		Type                        string
		Means, Covariances, Weights json.RawMessage
		Biases                      []array
		Quadratic                   float64
	}
	Initial   struct{ Mean, Std array }
	Kernel    string
	Bandwidth scaleOf
	StepSize  scaleOf `json:"step_size"`
	Options   struct {
		Particles, Dims, Steps, Systems int
		TraceTerm                       bool   `json:"trace_term"`
		SelfTerm                        bool   `json:"kernel_self_term"`
		Control                         string `json:"divergence_control"`
		Bound                           string
		Alpha                           float64 `json:"bound_alpha"`
		Leaky                           bool    `json:"leaky_clamp"`
	}
	Noise    struct{ Z, Probe, Uniform array }
	Steps    []map[string]json.RawMessage
	Final    map[string]json.RawMessage
	Gradient map[string]array
}

func readOracle(t *testing.T, path string) *oracleCase {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := new(oracleCase)
	if err := json.Unmarshal(data, c); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

func decode[T any](t *testing.T, raw json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// target builds the case's log-density in a graph.
func (c *oracleCase) target(t *testing.T, g *Graph, dtype dtypes.DType) sampler.Target {
	if c.Target.Type == "mlp" {
		var weights, biases []*Node
		for i, w := range decode[[]array](t, c.Target.Weights) {
			weights = append(weights, ConstTensor(g, w.tensor(dtype)))
			biases = append(biases, ConstTensor(g, c.Target.Biases[i].tensor(dtype)))
		}
		return sampler.MLP(weights, biases, c.Target.Quadratic)
	}
	means, covs := decode[array](t, c.Target.Means), decode[array](t, c.Target.Covariances)
	weights := decode[array](t, c.Target.Weights)
	b, k, d := means.Dims[0], means.Dims[1], means.Dims[2]
	precision, logDet := array{covs.Dims, nil}, array{[]int{b, k}, nil}
	logW := array{weights.Dims, nil}
	for i := range b * k {
		var inv mat.Dense
		cov := mat.NewDense(d, d, covs.Flat[i*d*d:(i+1)*d*d])
		if err := inv.Inverse(cov); err != nil {
			t.Fatal(err)
		}
		det, _ := mat.LogDet(&inv)
		precision.Flat = append(precision.Flat, inv.RawMatrix().Data...)
		logDet.Flat = append(logDet.Flat, det)
		logW.Flat = append(logW.Flat, math.Log(weights.Flat[i]))
	}
	return sampler.Mixture(ConstTensor(g, means.tensor(dtype)), ConstTensor(g, precision.tensor(dtype)),
		ConstTensor(g, logDet.tensor(dtype)), ConstTensor(g, logW.tensor(dtype)))
}

// recorded hands the case's numbers to the sampler.
type recorded struct {
	c *oracleCase
	g *Graph
}

func (r recorded) of(a array, step int, shape shapes.Shape) *Node {
	size := shape.Size()
	part := array{shape.Dimensions, a.Flat[step*size : (step+1)*size]}
	return ConstTensor(r.g, part.tensor(shape.DType))
}

func (r recorded) Normal(_ sampler.Use, _ int, shape shapes.Shape) *Node {
	return r.of(r.c.Noise.Z, 0, shape)
}

func (r recorded) Uniform(_ sampler.Use, step int, shape shapes.Shape) *Node {
	return r.of(r.c.Noise.Uniform, step, shape)
}

func (r recorded) Sign(_ sampler.Use, step int, shape shapes.Shape) *Node {
	return r.of(r.c.Noise.Probe, step, shape)
}

func (c *oracleCase) sampler(sigma, epsilon sampler.Scale) sampler.SVGD {
	o := c.Options
	s := sampler.SVGD{
		Bandwidth: sigma, StepSize: epsilon,
		Kernel: map[string]sampler.Kernel{"rbf": sampler.RBF{}, "imq": sampler.IMQ{}}[c.Kernel],
		Trace:  sampler.Divergence{HessianTrace: o.TraceTerm, SelfTerm: o.SelfTerm},
		Bound:  sampler.Bound{Alpha: o.Alpha, Leaky: o.Leaky},
	}
	if o.Bound == "spectral" {
		s.Bound.Kind = sampler.Spectral
	}
	switch o.Control {
	case "truncation":
		s.Control = sampler.Truncation{}
	case "metropolis-hastings":
		s.Control = sampler.MetropolisHastings{}
	}
	return s
}

// run replays the case and compares everything that it records.
func (c *oracleCase) run(t *testing.T, backend compute.Backend, dtype dtypes.DType, tolerance float64) {
	var names []string
	var want []array
	build := func(g *Graph, mean, logStd, logEps, logSigma *Node) []*Node {
		o := c.Options
		names, want = nil, nil
		var out []*Node
		expect := func(name string, raw json.RawMessage, node *Node) {
			if raw == nil || node == nil {
				return
			}
			names, want = append(names, name), append(want, decode[array](t, raw))
			out = append(out, ConvertDType(node, dtype))
		}
		given := func(s scaleOf, logs *Node) sampler.Scale {
			switch s.Kind {
			case "median":
				return sampler.Median{}
			case "mean":
				return sampler.Mean{}
			}
			var each sampler.Given
			for i := range len(s.Value.Flat) {
				each = append(each, Reshape(Exp(Slice(logs, AxisElem(i))), 1, 1, 1))
			}
			return each
		}
		std := Exp(logStd)
		at := sampler.At{Noise: recorded{c, g}, Mean: InsertAxes(mean, 1), Std: InsertAxes(std, 1)}
		z := at.Noise.Normal(sampler.ForInitial, 0, shapes.Make(dtype, o.Systems, o.Particles, o.Dims))
		x := Add(InsertAxes(mean, 1), Mul(InsertAxes(std, 1), z))
		target := c.target(t, g, dtype)
		logQ := sampler.Gaussian(InsertAxes(mean, 1), InsertAxes(std, 1))(x)
		r := sampler.Run(at, c.sampler(given(c.Bandwidth, logSigma), given(c.StepSize, logEps)), target, x, logQ, sampler.Steps{Max: o.Steps})
		for l, info := range r.Infos {
			step := c.Steps[l]
			for name, node := range map[string]*Node{
				"phi": info.Phi, "kernel": info.Gram, "hessian_trace_estimate": info.HessianTrace, "trace": info.Trace,
				"jacobian_sq": info.JacobianSq, "step_size": info.StepSize, "step_size_bound": info.Bound,
				"step_size_used": info.Used, "proposal": info.Proposal, "log_accept": info.LogAccept,
				"stein_identity": info.Stein, "accepted": info.Moved,
				"x": r.Path[l].X, "log_p": r.Path[l].LogP, "score": r.Path[l].Score,
			} {
				expect(fmt.Sprintf("step %d %s", l, name), step[name], node)
			}
			after := r.State
			if l+1 < len(r.Path) {
				after = r.Path[l+1]
			}
			if after.Alive == nil {
				after.Alive = OnesLike(after.LogQ)
			}
			expect(fmt.Sprintf("step %d log_q", l), step["log_q"], after.LogQ)
			expect(fmt.Sprintf("step %d alive", l), step["alive"], after.Alive)
		}
		expect("final x", c.Final["x"], r.X)
		expect("final log_q", c.Final["log_q"], r.LogQ)
		expect("final log_p", c.Final["log_p"], r.LogP)
		weight := OnesLike(r.LogP)
		if r.Alive != nil {
			weight = ConvertDType(r.Alive, dtype)
			expect("final alive", c.Final["alive"], r.Alive)
		}
		loss := Div(ReduceAllSum(Mul(Sub(r.LogQ, r.LogP), weight)), ReduceAllSum(weight))
		expect("loss", c.Final["loss"], loss)
		if c.Gradient != nil {
			grads := Gradient(loss, mean, logStd, logEps, logSigma)
			for i, name := range []string{"initial_mean", "initial_log_std", "log_step_size", "log_bandwidth"} {
				if a, ok := c.Gradient[name]; ok {
					names, want = append(names, "gradient "+name), append(want, a)
					out = append(out, grads[i])
				}
			}
		}
		return out
	}
	exec, err := NewExec(backend, func(mean, logStd, logEps, logSigma *Node) []*Node {
		return build(mean.Graph(), mean, logStd, logEps, logSigma)
	})
	if err != nil {
		t.Fatal(err)
	}
	logs := func(a array) *tensors.Tensor {
		out := array{[]int{max(1, len(a.Flat))}, nil}
		for _, x := range a.Flat {
			out.Flat = append(out.Flat, math.Log(x))
		}
		if out.Flat == nil {
			out.Flat = []float64{0}
		}
		return out.tensor(dtype)
	}
	logStd := array{c.Initial.Std.Dims, nil}
	for _, s := range c.Initial.Std.Flat {
		logStd.Flat = append(logStd.Flat, math.Log(s))
	}
	got, err := exec.Call(c.Initial.Mean.tensor(dtype), logStd.tensor(dtype), logs(c.StepSize.Value), logs(c.Bandwidth.Value))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		flat := flatten(got[i])
		if len(flat) != len(want[i].Flat) {
			t.Errorf("%s: %d numbers, want %d", name, len(flat), len(want[i].Flat))
			continue
		}
		// Relative to the largest number of the array: small ones among large are sums
		// that cancel.
		scale := 0.0
		for _, x := range want[i].Flat {
			scale = math.Max(scale, math.Abs(x))
		}
		worst := 0.0
		for j, x := range flat {
			d := math.Abs(x - want[i].Flat[j])
			if math.IsNaN(d) {
				d = math.Inf(1)
			}
			worst = math.Max(worst, d)
		}
		if worst > tolerance*math.Max(scale, 1e-3) {
			t.Errorf("%s: off by %.3g where numbers reach %.3g", name, worst, scale)
		}
	}
}

func flatten(x *tensors.Tensor) []float64 {
	if x.DType() == dtypes.Float64 {
		return tensors.MustCopyFlatData[float64](x)
	}
	var out []float64
	for _, v := range tensors.MustCopyFlatData[float32](x) {
		out = append(out, float64(v))
	}
	return out
}

// Ensure that every case of the reference sampler is reproduced, step by step, with
// its gradients: to 1e-6 in float64 on both backends, and within float32's reach.
func TestOracle(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(*oracleDir, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s (%v)", *oracleDir, err)
	}
	all := *oracleDir != flag.Lookup("oracle").DefValue
	seen := map[string]bool{}
	for _, path := range paths {
		c := readOracle(t, path)
		t.Run(c.Name+"/go", func(t *testing.T) { c.run(t, enginetest.PureGo(t), dtypes.Float64, 1e-6) })
		t.Run(c.Name+"/float32", func(t *testing.T) {
			if c.chaotic() {
				t.Skip("grows a rounding error beyond what float32 can be held to")
			}
			c.run(t, enginetest.PureGo(t), dtypes.Float32, float32Tolerance)
		})
		// XLA compiles each for seconds: one of a kind, unless a folder was asked for.
		if kind := c.kind(); all || !seen[kind] && c.Options.Steps <= 6 {
			seen[kind] = true
			t.Run(c.Name+"/xla", func(t *testing.T) { c.run(t, enginetest.Backend(t), dtypes.Float64, 1e-6) })
		}
	}
}

// kind is what the case exercises.
func (c *oracleCase) kind() string {
	return fmt.Sprint(c.Kernel, c.Options.Control, c.Options.TraceTerm)
}

// float32Tolerance is relative to the largest number of an array. Rounding is 6e-8;
// a run of several steps and its gradient grow it.
const float32Tolerance = 2e-3

// chaotic says that a case has too many steps, or a kernel too narrow, for float32: a
// run of 25 steps grows a change of x⁰ more than a hundredfold, and a zero bandwidth
// makes γ 1e8.
func (c *oracleCase) chaotic() bool {
	return c.Options.Steps > 10 || (c.Options.Particles == 2 && c.Bandwidth.Kind == "median")
}
