// A custom program: stein with further parts, selected by name like Stein's own: a
// policy, a learner, a sampler's kernel and an environment.
//
//	go run ./examples/all_your_own train --config pendulum/sac --env go:valley --set agent.kind=single --set policy.kind=logit
package main

import (
	"math"
	"math/rand/v2"
	"os"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/cmd"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
)

// Logit is a policy: a logistic distribution, squashed by tanh, whose centre is the
// output of a network.
type Logit struct {
	nn.Network `yaml:",inline"`
	Scale      float64 `want:"> 0"`
}

// Sample draws u = centre + Scale·logit(v), with v uniform: log q(u) = log v(1 − v) − log Scale.
func (p Logit) Sample(q policies.Query) policies.Draw {
	b, m, a := q.Obs.Shape().Dim(0), q.Particles, q.ActDim
	centre := p.Apply(q.Scope.At("centre"), q.Obs, a, nn.Statistics{Learn: q.Learn})
	v := ClipScalar(q.Key.Uniform(shapes.Make(q.Obs.DType(), b, m, a)), 1e-5, 1-1e-5)
	u := Add(InsertAxes(centre, 1), MulScalar(Sub(Log(v), Log(OneMinus(v))), p.Scale))
	logQ := ReduceSum(SubScalar(Add(Log(v), Log(OneMinus(v))), math.Log(p.Scale)), -1)
	action, logProb := policies.Squash(u, logQ)
	return policies.Draw{Action: action, LogProb: logProb}
}

// Cauchy is a kernel of samplers: κ(s) = 1/(1 + γs), with its two derivatives in s.
type Cauchy struct{}

// Radial returns κ, κ' and κ”.
func (Cauchy) Radial(s, gamma *Node) (k, dk, d2k *Node) {
	k = Inverse(OnePlus(Mul(s, gamma)))
	dk = Neg(Mul(gamma, Square(k)))
	return k, dk, MulScalar(Mul(Square(gamma), Mul(Square(k), k)), 2)
}

// Valley is an environment: actions move a point, which is rewarded for being at the
// bottom.
type Valley struct {
	Bottom float64 // position of the bottom, in (−1, 1)
	at     float64
}

func (v *Valley) Sizes() (obsDim, actDim int) { return 1, 1 }
func (v *Valley) MaxSteps() int               { return 20 }

func (v *Valley) Reset(seed uint64, obs []float32) error {
	v.at = 2*rand.New(rand.NewPCG(seed, 0)).Float64() - 1
	obs[0] = float32(v.at)
	return nil
}

func (v *Valley) Step(action, obs []float32) (reward float32, terminated bool, err error) {
	v.at = min(1, max(-1, v.at+0.3*float64(action[0])))
	obs[0] = float32(v.at)
	return float32(-10 * (v.at - v.Bottom) * (v.at - v.Bottom)), false, nil
}

func catalog() experiments.Catalog {
	small := nn.Network{Hidden: []int{32, 32}, Activation: "elu", Norm: "none"}
	c := experiments.Builtin()
	c.Policies["logit"] = func() policies.Policy { return Logit{small, 0.3} }
	c.Agents["single"] = func() agents.Maker { return Single{0.9, 0.1, 3e-3, 0.02, 4, small} }
	c.Kernels["cauchy"] = Cauchy{}
	c.Envs["valley"] = func() envbridge.Simulator { return &Valley{Bottom: 0.5} }
	return c
}

func main() { os.Exit(cmd.Main(catalog())) }
