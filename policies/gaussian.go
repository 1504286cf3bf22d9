package policies

import (
	"math"

	"github.com/stein-rl/stein/nn"

	. "github.com/gomlx/gomlx/core/graph"
)

// Gaussian is soft actor-critic's policy (Haarnoja et al. 2018): a diagonal normal
// distribution whose mean and log standard deviation are two heads of one network,
// squashed by tanh.
type Gaussian struct {
	nn.Network `yaml:",inline"`
	LogStdMin  float64 `yaml:"log_std_min"` // clamp of log σ, nats
	LogStdMax  float64 `yaml:"log_std_max"`
}

var (
	_ Policy = Gaussian{}
	_ Greedy = Gaussian{}
)

// NewGaussian has the defaults of Stable-Baselines3: two hidden layers of 256, log σ in
// [−20, 2].
func NewGaussian() Gaussian {
	return Gaussian{Network: nn.Network{Hidden: []int{256, 256}, Activation: "relu", Norm: "none"}, LogStdMin: -20, LogStdMax: 2}
}

// Sample draws a = tanh(μ + σξ), ξ standard normal.
func (p Gaussian) Sample(q Query) Draw {
	mean, logStd := p.heads(q)                                // [B, A]
	mean, logStd = InsertAxes(mean, 1), InsertAxes(logStd, 1) // [B, 1, A]
	shape := q.Obs.Shape().Clone()
	shape.Dimensions = []int{q.Obs.Shape().Dim(0), q.Particles, q.ActDim}
	xi := q.Key.Normal(shape)
	u := Add(mean, Mul(Exp(logStd), xi))

	// log N(u; μ, σ²) = Σ_d [−ξ²/2 − log σ − log √2π], with ξ for (u − μ)/σ
	each := Sub(MulScalar(Square(xi), -0.5), logStd) // [B, M, A]
	logQ := AddScalar(ReduceSum(each, -1), -float64(q.ActDim)*math.Log(math.Sqrt(2*math.Pi)))
	action, logProb := Squash(u, logQ)
	return Draw{Action: action, LogProb: logProb, Stats: map[string]*Node{
		"std": ReduceAllMean(Exp(logStd)),
	}}
}

// Greedy is the squashed mean.
func (p Gaussian) Greedy(q Query) *Node {
	mean, _ := p.heads(q)
	return Tanh(mean)
}

// heads returns μ and the clamped log σ, [B, A] each.
func (p Gaussian) heads(q Query) (mean, logStd *Node) {
	both := q.ask(p.Network, "gaussian", 2*q.ActDim) // [B, 2A]
	return split(both, q.ActDim, p.LogStdMin, p.LogStdMax)
}

func split(both *Node, actDim int, low, high float64) (mean, logStd *Node) {
	mean = Slice(both, AxisRange(), AxisRange(0, actDim))
	logStd = Slice(both, AxisRange(), AxisRange(actDim, 2*actDim))
	return mean, ClipScalar(logStd, low, high)
}
