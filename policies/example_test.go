package policies_test

import (
	"fmt"
	"log"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/random"
)

// Uniform is a policy of one's own: uniform actions in the box (−1, 1)^A, whose density is
// 2^{−A} everywhere.
type Uniform struct{}

// Sample draws [B, M, A].
func (Uniform) Sample(q policies.Query) policies.Draw {
	u := q.Key.Uniform(shapes.Make(q.Obs.DType(), q.Obs.Shape().Dim(0), q.Particles, q.ActDim)) // [B, M, A]
	action := AddScalar(MulScalar(u, 2), -1)
	logProb := MulScalar(OnesLike(ReduceSum(action, -1)), -math.Ln2*float64(q.ActDim))
	return policies.Draw{Action: action, LogProb: logProb}
}

// A policy is one function that builds a graph: the learner gives it states, a key and
// what it may ask of the critic, and trains the variables that it makes below Scope.
func Example() {
	backend, _, err := engine.Open(engine.PureGo)
	if err != nil {
		log.Fatal(err)
	}
	for _, policy := range []policies.Policy{Uniform{}, policies.NewGaussian(), policies.NewStein()} {
		exec, err := model.NewExec(backend, model.NewStore(), func(scope *model.Scope, rng, obs *Node) []*Node {
			g := obs.Graph()
			draw := policy.Sample(policies.Query{
				Scope: scope, Key: random.NewKey(rng), Obs: obs, Particles: 4, ActDim: 2,
				Value:    func(a *Node) *Node { return Neg(ReduceSum(Square(a), -1)) }, // of the critic
				Alpha:    Scalar(g, dtypes.Float32, 0.2),
				Progress: Scalar(g, dtypes.Float32, 0),
			})
			return []*Node{draw.Action, draw.LogProb}
		})
		if err != nil {
			log.Fatal(err)
		}
		rng, err := RNGStateFromSeed(1)
		if err != nil {
			log.Fatal(err)
		}
		out, err := exec.Call(rng, [][]float32{{0.1, 0.2, 0.3}, {0, 0, 0}}) // two states
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%T: actions %v, log-densities %v\n", policy, out[0].Shape().Dimensions, out[1].Shape().Dimensions)
		exec.Finalize()
	}
	// Output:
	// policies_test.Uniform: actions [2 4 2], log-densities [2 4]
	// policies.Gaussian: actions [2 4 2], log-densities [2 4]
	// policies.Stein: actions [2 4 2], log-densities [2 4]
}
