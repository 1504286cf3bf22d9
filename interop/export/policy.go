package export

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/nn/flows"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/replay/normalize"
)

// A Policy is a policy to write as ONNX. Its weights have the names that Weights returns.
type Policy struct {
	Kind           policies.Policy // Gaussian or Flow
	Weights        []Tensor
	ObsDim, ActDim int
	Obs            *normalize.Moments // normalises observations; nil: they are not normalised
	Clip           float64            // bound of normalised observations
}

// WriteONNX writes the policy as a model with the inputs
//
//	observation [N, S]  raw
//	noise       [N, A]  standard normal; zeros give the greedy action
//
// and the outputs
//
//	action      [N, A]  in [−1, 1]
//	log_prob    [N]     log π(action|observation), nats
//	mean        [N, A]  of the Gaussian, before flows and tanh
//	log_std     [N, A]
//
// Particle policies are an error, because they evaluate the critic at every step.
func WriteONNX(out io.Writer, p Policy, metadata map[string]string) error {
	b := &builder{p: p, scope: "policy", weights: map[string]Tensor{}}
	for _, t := range p.Weights {
		b.weights[t.Name] = t
		if strings.HasPrefix(t.Name, "average.") {
			b.scope = "average"
		}
	}
	b.end(graphInput, "observation", p.ObsDim)
	b.end(graphInput, "noise", p.ActDim)
	var action, logProb string
	switch kind := p.Kind.(type) {
	case policies.Gaussian:
		b.base(b.scope+".gaussian", kind.Network, kind.LogStdMin, kind.LogStdMax, 0)
		action, logProb = b.squash(b.drawn, b.logQ)
	case policies.Flow:
		context := b.base(b.scope+".flow", kind.Network, kind.LogStdMin, kind.LogStdMax, kind.Context)
		u, logQ := b.flows(kind, b.drawn, b.logQ, b.activated(kind.Activation, context))
		action, logProb = b.squash(u, logQ)
	default:
		return fmt.Errorf("export: cannot write a policy of kind %s as ONNX: only gaussian and flow; safetensors takes every policy", policies.NameOf(p.Kind))
	}
	if b.err != nil {
		return b.err
	}
	for name, of := range map[string]string{"action": action, "log_prob": logProb, "mean": b.mean, "log_std": b.logStd} {
		b.add("Identity", name, nil, of)
	}
	b.end(graphOutput, "action", p.ActDim)
	b.end(graphOutput, "log_prob", 0)
	b.end(graphOutput, "mean", p.ActDim)
	b.end(graphOutput, "log_std", p.ActDim)
	return b.write(out, metadata)
}

// A builder builds a policy's graph. It keeps the first error, and the nodes of the
// Gaussian: mean, log σ, the draw and its log-density.
type builder struct {
	network
	p                         Policy
	scope                     string // policy, or average if the policy is averaged
	weights                   map[string]Tensor
	mean, logStd, drawn, logQ string
	err                       error
}

// weight returns the variable with this name. A missing variable or another rank is an
// error.
func (b *builder) weight(name string, rank int) Tensor {
	t, ok := b.weights[name]
	if (!ok || len(t.Shape) != rank) && b.err == nil {
		b.err = fmt.Errorf("export: missing weights %s of rank %d", name, rank)
	}
	if b.err != nil {
		return Tensor{Name: name, Shape: make([]int, rank)}
	}
	return t
}

func (b *builder) activated(name, x string) string {
	y, err := b.activate(name, x)
	if err != nil && b.err == nil {
		b.err = err
	}
	return y
}

// linear adds x·W + b for a layer's outputs from…to−1.
func (b *builder) linear(x, layer string, from, to int) string {
	w, bias := b.folded(layer)
	if to > w.Shape[1] && b.err == nil {
		b.err = fmt.Errorf("export: %s has %d outputs, want %d", layer, w.Shape[1], to)
	}
	if b.err != nil {
		return x
	}
	part := fmt.Sprintf("%s.%d_%d", layer, from, to)
	return b.op("Gemm", x, b.array(columns(w, part+".weights", from, to)), b.array(Tensor{part + ".biases", []int{to - from}, bias.Data[from:to]}))
}

// folded returns a layer's weights and biases, with the batch normalisation of its input,
// γ(x − μ)/σ + β, folded into them.
func (b *builder) folded(layer string) (w, bias Tensor) {
	w, bias = b.weight(layer+".weights", 2), b.weight(layer+".biases", 1)
	variance, normalised := b.weights[layer+".norm.running_variance"]
	if !normalised || b.err != nil {
		return w, bias
	}
	gamma, beta, mean := b.weight(layer+".norm.scale", 1), b.weight(layer+".norm.shift", 1), b.weight(layer+".norm.running_mean", 1)
	if b.err != nil {
		return w, bias
	}
	out := w.Shape[1]
	moved := make([]float64, out)
	data := make([]float32, len(w.Data))
	for i := range w.Shape[0] {
		scale := float64(gamma.Data[i]) / math.Sqrt(float64(variance.Data[i])+nn.BatchEpsilon)
		shift := float64(beta.Data[i]) - scale*float64(mean.Data[i])
		for j := range out {
			data[i*out+j] = float32(scale * float64(w.Data[i*out+j]))
			moved[j] += shift * float64(w.Data[i*out+j])
		}
	}
	added := make([]float32, out)
	for j := range out {
		added[j] = float32(float64(bias.Data[j]) + moved[j])
	}
	w.Data, bias.Data = data, added
	return w, bias
}

func columns(w Tensor, name string, from, to int) Tensor {
	t := Tensor{Name: name, Shape: []int{w.Shape[0], to - from}}
	for i := range w.Shape[0] {
		t.Data = append(t.Data, w.Data[i*w.Shape[1]+from:i*w.Shape[1]+to]...)
	}
	return t
}

// base builds the network and the Gaussian of its first 2A outputs. It returns the next
// extra outputs.
func (b *builder) base(scope string, net nn.Network, low, high float64, extra int) (rest string) {
	if net.Norm == "layer" && b.err == nil {
		b.err = errors.New("export: cannot write a policy with norm layer as ONNX: only none and batch; safetensors takes every policy")
	}
	x := b.normalized("observation")
	for i := range net.Hidden {
		layer := fmt.Sprintf("%s.hidden_%d", scope, i)
		w := b.weight(layer+".weights", 2)
		x = b.activated(net.Activation, b.linear(x, layer, 0, w.Shape[1]))
	}
	a, layer := b.p.ActDim, scope+".out"
	b.mean = b.linear(x, layer, 0, a)
	b.logStd = b.op("Clip", b.linear(x, layer, a, 2*a), b.number(low), b.number(high))
	if extra > 0 {
		rest = b.linear(x, layer, 2*a, 2*a+extra)
	}
	b.drawn = b.op("Add", b.mean, b.op("Mul", b.op("Exp", b.logStd), "noise"))
	// log q(u) = Σ_d [−ξ²/2 − log σ − log √2π]
	each := b.op("Add", b.op("Mul", b.op("Mul", "noise", "noise"), b.number(0.5)), b.logStd)
	b.logQ = b.op("Neg", b.op("Add", b.sum(each), b.number(float64(a)*math.Log(math.Sqrt(2*math.Pi)))))
	return rest
}

// normalized computes in 64 bits, as Stein does: in 32 bits, subtracting the mean from an
// observation of 10,000 ± 50 loses digits that matter to the network.
func (b *builder) normalized(x string) string {
	m := b.p.Obs
	if m == nil {
		return x
	}
	std := make([]float64, b.p.ObsDim)
	for i := range std {
		std[i] = math.Sqrt(m.Var[i] + 1e-8)
	}
	x = b.opWith("Cast", map[string]int{"to": typeDouble}, x)
	scaled := b.op("Div", b.op("Sub", x, b.doubles("normalize.mean", m.Mean)), b.doubles("normalize.std", std))
	return b.opWith("Cast", map[string]int{"to": typeFloat}, b.op("Clip", scaled, b.double(-b.p.Clip), b.double(b.p.Clip)))
}

// sum reduces the last axis, [N, A] -> [N].
func (b *builder) sum(x string) string {
	return b.opWith("ReduceSum", map[string]int{"keepdims": 0}, x, b.axis(1))
}

// squash is policies.Squash: tanh u, and log q − log|det|, where log|det| is
// Σ_d −2(|u| + softplus(−2|u|) − ln 2).
func (b *builder) squash(u, logQ string) (action, logProb string) {
	abs := b.op("Abs", u)
	each := b.op("Sub", b.op("Add", abs, b.op("Softplus", b.op("Mul", abs, b.number(-2)))), b.number(math.Ln2))
	return b.op("Tanh", u), b.op("Add", logQ, b.op("Mul", b.sum(each), b.number(2)))
}

// flows is flows.Alternating with the masks multiplied into the weights.
func (b *builder) flows(kind policies.Flow, x, logQ, context string) (y, logDensity string) {
	const limit = 2 // bound of log scales, flows.Autoregressive's default
	dim := b.p.ActDim
	unit := make([]int, kind.Width)
	for k := range unit {
		unit[k] = k % dim
	}
	for i, link := range flows.Alternating(kind.Layers, dim, kind.Width, nil) {
		order := link.(flows.Autoregressive).Order
		scope := fmt.Sprintf("%s.flows.link_%d", b.scope, i)
		h := b.masked(x, scope+".in", order, unit, func(place, degree int) bool { return place < degree })
		h = b.op("Add", h, b.op("MatMul", context, b.array(b.weight(scope+".cond.weights", 2))))
		h = b.masked(b.activated(kind.Activation, h), scope+".mid", unit, unit, func(from, to int) bool { return from <= to })
		h = b.activated(kind.Activation, h)
		sees := func(degree, place int) bool { return degree <= place }
		scale := b.op("Mul", b.masked(h, scope+".log_scale", unit, order, sees), b.number(1./limit))
		scale = b.op("Mul", b.op("Tanh", scale), b.number(limit))
		x = b.op("Add", b.op("Mul", x, b.op("Exp", scale)), b.masked(h, scope+".shift", unit, order, sees))
		logQ = b.op("Sub", logQ, b.sum(scale))
	}
	return x, logQ
}

// masked adds a layer whose weights are zero unless sees reports true.
func (b *builder) masked(x, layer string, from, to []int, sees func(from, to int) bool) string {
	w, bias := b.weight(layer+".weights", 2), b.weight(layer+".biases", 1)
	if b.err == nil && len(w.Data) != len(from)*len(to) {
		b.err = fmt.Errorf("export: %s has weights of shape %v, want [%d %d]", layer, w.Shape, len(from), len(to))
	}
	if b.err != nil {
		return x
	}
	w.Data = append([]float32(nil), w.Data...)
	for i := range from {
		for j := range to {
			if !sees(from[i], to[j]) {
				w.Data[i*len(to)+j] = 0
			}
		}
	}
	return b.op("Gemm", x, b.array(w), b.array(bias))
}
