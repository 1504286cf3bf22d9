package policies

import (
	"errors"
	"fmt"
	"math"

	"github.com/stein-rl/stein/nn"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/nn/flows"
)

// Flow is the policy of SAC-NF (Mazoure et al. 2019). Its actions are draws from a
// Gaussian, passed through autoregressive flows that depend on the state (see
// flows.Autoregressive) and through tanh. Sampling takes one pass; log-probabilities are
// exact.
type Flow struct {
	nn.Network `yaml:",inline"`
	LogStdMin  float64 `yaml:"log_std_min"` // clamp of the Gaussian's log σ, nats
	LogStdMax  float64 `yaml:"log_std_max"`

	Layers  int `yaml:"layers" want:">= 1"`  // number of flows, each with another order of coordinates
	Width   int `yaml:"width" want:">= 1"`   // width of the masked networks
	Context int `yaml:"context" want:">= 1"` // size of the state features that condition the flows

	// Act is the action at test time: the Gaussian's mean passed through the flows, or
	// one of q.Particles draws.
	Act         string `yaml:"act" want:"mean|softmax|argmax|uniform"`
	Temperature string `yaml:"temperature" want:"1|alpha"` // of the softmax
}

var (
	_ Policy = Flow{}
	_ Greedy = Flow{}
)

// NewFlow has three flows and the network of NewGaussian.
func NewFlow() Flow {
	return Flow{
		Network: nn.Network{Hidden: []int{256, 256}, Activation: "relu", Norm: "none"}, LogStdMin: -20, LogStdMax: 2,
		Layers: 3, Width: 64, Context: 64, Act: "mean", Temperature: "1",
	}
}

// Validate reports settings that cannot be built.
func (p Flow) Validate() error {
	err := p.Network.Validate()
	if p.LogStdMin > p.LogStdMax {
		err = errors.Join(err, fmt.Errorf("log_std_min: %g is above log_std_max %g", p.LogStdMin, p.LogStdMax))
	}
	return err
}

// Sample draws a = tanh(f(μ + σξ)), ξ standard normal and f the flows.
func (p Flow) Sample(q Query) Draw {
	shape := q.Obs.Shape().Clone()
	shape.Dimensions = []int{q.Obs.Shape().Dim(0), q.Particles, q.ActDim}
	draw, std := p.push(q, q.Key.Normal(shape))
	draw.Stats = map[string]*Node{"std": ReduceAllMean(std)}
	return draw
}

// Greedy is the action selected by Act.
func (p Flow) Greedy(q Query) *Node {
	if p.Act == "mean" {
		shape := q.Obs.Shape().Clone()
		shape.Dimensions = []int{q.Obs.Shape().Dim(0), 1, q.ActDim}
		draw, _ := p.push(q, Zeros(q.Obs.Graph(), shape))
		return Squeeze(draw.Action, 1)
	}
	key := q.Key
	q.Key = key.Fold(0)
	draw := p.Sample(q)
	q.Key = key
	return Choice{By: p.Act, Temperature: p.Temperature}.Pick(q, draw)
}

// push passes standard normal ξ [B, M, A] through the Gaussian, the flows and tanh. std
// is the Gaussian's, [B, 1, A].
func (p Flow) push(q Query, xi *Node) (draw Draw, std *Node) {
	out := q.ask(p.Network, "flow", 2*q.ActDim+p.Context) // [B, 2A+C]
	both := Slice(out, AxisRange(), AxisRange(0, 2*q.ActDim))
	context := nn.Activate(p.Activation, Slice(out, AxisRange(), AxisRangeToEnd(2*q.ActDim))) // [B, C]
	mean, logStd := split(both, q.ActDim, p.LogStdMin, p.LogStdMax)
	mean, logStd = InsertAxes(mean, 1), InsertAxes(logStd, 1) // [B, 1, A]
	std = Exp(logStd)

	// log q(u) = Σ_d [−ξ²/2 − log σ − log √2π] − log|det ∂f|
	logQ := ReduceSum(Sub(MulScalar(Square(xi), -0.5), logStd), -1)
	logQ = AddScalar(logQ, -float64(q.ActDim)*math.Log(math.Sqrt(2*math.Pi)))
	chain := flows.Alternating(p.Layers, q.ActDim, p.Width, func(x *Node) *Node { return nn.Activate(p.Activation, x) })
	u, logDet := chain.Forward(q.Scope.At("flows"), Add(mean, Mul(std, xi)), context)
	action, logProb := Squash(u, Sub(logQ, logDet))
	return Draw{Action: action, LogProb: logProb}, std
}
