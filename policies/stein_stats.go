package policies

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/sampler"
)

// probed is the number of states for which the heuristic bandwidths are computed: the
// median sorts M² numbers per state.
const probed = 8

// stats returns the diagnostics of a draw; docs/metrics.md explains each. They are means
// over the batch, and over the steps if each step has one.
func (p Stein) stats(q Query, q0 sampler.DiagonalGaussian, smp sampler.Sampler, run sampler.Result, draw Draw) map[string]*Node {
	s := map[string]*Node{"start_std": ReduceAllMean(q0.Std)}
	p.entropyStats(s, q, draw)
	if draw.Alive != nil {
		alive := ReduceSum(ConvertDType(draw.Alive, run.X.DType()), -1) // [B]
		s["particles_lost"] = OneMinus(MulScalar(ReduceAllMean(alive), 1/float64(q.Particles)))
		s["particles_alive_min"] = ReduceAllMin(alive)
	}
	if len(run.Infos) == 0 {
		s["score_norm"] = ReduceAllMean(Sqrt(ReduceSum(Square(run.Score), -1)))
		return detached(s)
	}
	// KL(q⁰‖p) − KL(q‖p), estimated at the particles, nats; p is the sampler's target.
	first := run.Path[0]
	gain := Sub(Sub(run.LogP, run.LogQ), Sub(first.LogP, first.LogQ)) // [B, M]
	if draw.Alive != nil {
		gain = Where(draw.Alive, gain, ZerosLike(gain))
	}
	s["kl_drop"] = ReduceAllMean(gain)
	infos := run.Infos
	last := infos[len(infos)-1]
	s["score_norm"] = ReduceAllMean(last.ScoreNorm)
	s["stein_identity"] = ReduceAllMean(last.Stein)
	s["sigma"] = run.Mean(func(i sampler.Info) *Node { return i.Bandwidth })
	s["sigma_mean"], s["sigma_median"] = heuristics(run.X)
	s["epsilon"] = run.Mean(func(i sampler.Info) *Node { return i.StepSize })
	s["epsilon_used"] = run.Mean(func(i sampler.Info) *Node { return i.Used })
	if last.Bound != nil {
		s["epsilon_bound"] = run.Mean(func(i sampler.Info) *Node { return i.Bound })
		s["bound_share"] = run.Mean(func(i sampler.Info) *Node {
			return ConvertDType(GreaterOrEqual(i.StepSize, i.Bound), i.Bound.DType())
		})
	}
	if last.MinDet != nil {
		s["min_det"] = ReduceAllMin(last.MinDet)
	}
	p.controlStats(s, q, smp, run)
	if p.Sampler.StopBelow > 0 {
		s["steps_taken"] = ReduceAllMean(run.Taken)
		for l := range len(infos) + 1 {
			took := Equal(run.Taken, MulScalar(OnesLike(run.Taken), float64(l)))
			s[fmt.Sprintf("steps_taken_%d", l)] = ReduceAllMean(ConvertDType(took, run.X.DType()))
		}
	}
	return detached(s)
}

// entropyStats adds checks of the log-probabilities: no density on (−1, 1)^A has more
// entropy than A·ln 2.
func (p Stein) entropyStats(s map[string]*Node, q Query, draw Draw) {
	alive := OnesLike(draw.LogProb)
	if draw.Alive != nil {
		alive = ConvertDType(draw.Alive, alive.DType())
	}
	count := MaxScalar(ReduceSum(alive, -1), 1)
	mean := func(x *Node) *Node { return Div(ReduceSum(Mul(x, alive), -1), count) } // [B, M] -> [B]
	entropy := Neg(mean(draw.LogProb))
	limit := float64(q.ActDim) * math.Ln2
	over := GreaterThan(entropy, MulScalar(OnesLike(entropy), limit))
	s["entropy_limit"] = MulScalar(ScalarOne(alive.Graph(), alive.DType()), limit)
	s["entropy_over_share"] = ReduceAllMean(ConvertDType(over, alive.DType()))
	s["log_prob_min"] = ReduceAllMin(draw.LogProb)
	s["log_prob_max"] = ReduceAllMax(draw.LogProb)
	value := q.Value(draw.Action) // often also in the loss; the engine evaluates equal nodes once
	centred := Sub(value, InsertAxes(mean(value), -1))
	s["q_spread"] = ReduceAllMean(Sqrt(MaxScalar(mean(Square(centred)), 1e-12)))
}

// controlStats adds the acceptance rate, and the probability of an accept test.
func (p Stein) controlStats(s map[string]*Node, q Query, smp sampler.Sampler, run sampler.Result) {
	svgd, ok := smp.(sampler.SVGD)
	if !ok || svgd.Control == nil {
		return
	}
	s["acceptance"] = run.Mean(func(i sampler.Info) *Node { return i.Accepted })
	if sometimes, ok := svgd.Control.(sampler.Sometimes); ok {
		progress := q.Progress
		if progress == nil {
			progress = ScalarOne(q.Obs.Graph(), q.Obs.DType())
		}
		s["mh_probability"] = sometimes.Share.At(progress)
	}
}

// heuristics returns σ by the mean and by the median of the squared distances, for a few
// states.
func heuristics(x *Node) (mean, median *Node) {
	few := Slice(StopGradient(x), AxisRange(0, min(probed, x.Shape().Dim(0))))
	p := sampler.ParticlesOf(few)
	return ReduceAllMean(sampler.Mean{}.Value(sampler.At{}, p)), ReduceAllMean(sampler.Median{}.Value(sampler.At{}, p))
}

func detached(s map[string]*Node) map[string]*Node {
	for name, x := range s {
		s[name] = StopGradient(x)
	}
	return s
}
