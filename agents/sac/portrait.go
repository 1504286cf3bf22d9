package sac

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/random"
)

// Portrait draws times·Particles actions from the policy at obs [S] and evaluates the
// critic at actions [G*A]. It uses the random numbers of greedy actions. Each
// pair of sizes compiles a graph of its own when it is first asked for.
func (s *Learner) Portrait(obs []float32, times int, actions []float32) (agents.Portrait, error) {
	a := s.spec.ActDim
	if len(obs) != s.spec.ObsDim || times < 1 || len(actions) == 0 || len(actions)%a != 0 {
		return agents.Portrait{}, fmt.Errorf("sac: portrait: got %d observation numbers, %d draws and %d action numbers; the environment has observations of %d and actions of %d", len(obs), times, len(actions), s.spec.ObsDim, a)
	}
	if err := s.needs(s.asked()); err != nil {
		return agents.Portrait{}, fmt.Errorf("sac: portrait: %w", err)
	}
	rows := make([]float32, 0, times*len(obs))
	for range times {
		rows = append(rows, obs...)
	}
	k := random.KeyOf(s.greedySeed, greedyStream, s.greedyActs)
	s.greedyActs++
	out, err := s.judging.Call(s.progress, tensors.FromFlatDataAndDimensions(k[:], 3),
		tensors.FromFlatDataAndDimensions(rows, times, len(obs)), tensors.FromFlatDataAndDimensions(actions, len(actions)/a, a))
	if err != nil {
		return agents.Portrait{}, fmt.Errorf("sac: portrait: %w", err)
	}
	drawn, logProb := tensors.MustCopyFlatData[float32](out[0]), tensors.MustCopyFlatData[float32](out[1])
	p := agents.Portrait{Value: tensors.MustCopyFlatData[float32](out[3]), Alpha: float64(tensors.ToScalar[float32](out[4]))}
	for i, alive := range tensors.MustCopyFlatData[bool](out[2]) {
		if alive && math.IsNaN(float64(logProb[i])) {
			return agents.Portrait{}, fmt.Errorf("sac: portrait: log-probability of draw %d is NaN", i)
		}
		if alive {
			p.Actions, p.LogProb = append(p.Actions, drawn[i*a:(i+1)*a]...), append(p.LogProb, logProb[i])
		}
	}
	return p, nil
}

// portraitGraph returns draws [N, M, A], their log-probabilities and which are alive,
// both [N, M], the values of actions [G, A] at the first row of obs, [G], and α.
func (s *Learner) portraitGraph(scope *model.Scope, in []*Node) []*Node {
	progress, k, obs, actions := in[0], in[1], in[2], in[3]
	q := s.query(scope, s.trained(), obs, random.NewKey(k), progress)
	d := s.policy.Sample(q)
	alive := d.Alive
	if alive == nil {
		alive = GreaterThan(OnesLike(d.LogProb), ZerosLike(d.LogProb))
	}
	one := s.query(scope, s.trained(), Slice(obs, AxisElem(0)), q.Key, progress)
	return []*Node{d.Action, d.LogProb, alive, Squeeze(one.Value(InsertAxes(actions, 0)), 0), q.Alpha}
}
