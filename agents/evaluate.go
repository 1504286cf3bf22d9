package agents

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/stein-rl/stein/envbridge"
)

// An Evaluation holds the results of greedy episodes, by episode number.
type Evaluation struct {
	Returns []float64 `json:"returns"`       // sums of raw rewards
	Lengths []int64   `json:"lengths"`       // steps
	Cut     int       `json:"cut,omitempty"` // episodes ended by EpisodeLimit
}

// EpisodeLimit is the number of steps after which an evaluation ends an episode of an
// environment without a time limit, since such an episode may never end.
const EpisodeLimit = 1000

// Evaluate runs a number of episodes with the agent's greedy actions. Copy e mod N of the
// environment runs episode e, and each copy runs its episodes in order. Which episodes
// count is thus fixed in advance, and short episodes cannot displace long ones. norm
// scales observations without learning from them; it may be nil. The result depends only
// on the seed and the agent.
//
// An episode interrupted by a lost worker is repeated. A copy whose episode was ended
// by EpisodeLimit idles until no copy has an episode left to run; then all copies are
// reset.
func Evaluate(ctx context.Context, env envbridge.Env, agent Agent, norm Normalizer, episodes int, seed int64) (Evaluation, error) {
	spec := env.Spec()
	if episodes < 1 {
		return Evaluation{}, fmt.Errorf("agents: evaluation of %d episodes: want at least 1", episodes)
	}
	if r, ok := agent.(Reseeder); ok {
		r.SeedGreedy(uint64(seed))
	}
	obs, err := env.Reset(ctx, seed)
	if err != nil {
		return Evaluation{}, fmt.Errorf("agents: evaluation: %w", err)
	}
	result := Evaluation{Returns: make([]float64, episodes), Lengths: make([]int64, episodes)}
	limit := int64(math.MaxInt64)
	if spec.MaxSteps == 0 {
		limit = EpisodeLimit
	}
	playing := make([]int, spec.Copies) // number of the episode each copy is running
	for i := range playing {
		playing[i] = i
	}
	idle := make([]bool, spec.Copies) // between EpisodeLimit and the next reset
	resets := int64(0)
	scaled := make([]float32, len(obs))
	for left := episodes; left > 0; {
		if err := ctx.Err(); err != nil {
			return Evaluation{}, fmt.Errorf("agents: evaluation: %w", err)
		}
		copy(scaled, obs)
		if norm != nil {
			norm.Obs(scaled)
		}
		action, err := agent.Act(scaled, true)
		if err != nil {
			return Evaluation{}, fmt.Errorf("agents: evaluation: %w", err)
		}
		if err := env.Send(ctx, action); err != nil {
			return Evaluation{}, fmt.Errorf("agents: evaluation: %w", err)
		}
		step, err := env.Recv(ctx)
		if err != nil {
			return Evaluation{}, fmt.Errorf("agents: evaluation: %w", err)
		}
		obs = step.Obs
		busy := false
		for i, e := range playing {
			if step.Lost {
				idle[i] = false // every copy was reset
			}
			if e >= episodes || idle[i] {
				continue
			}
			busy = true
			if step.Lost {
				result.Returns[e], result.Lengths[e] = 0, 0
				continue
			}
			result.Returns[e] += float64(step.Reward[i])
			result.Lengths[e]++
			ended := step.Terminated[i] || step.Truncated[i]
			if idle[i] = !ended && result.Lengths[e] >= limit; idle[i] {
				result.Cut++
			}
			if ended || idle[i] {
				playing[i] += spec.Copies
				left--
			}
		}
		if !busy && left > 0 {
			resets++
			if obs, err = env.Reset(ctx, seed+resets*int64(spec.Copies)); err != nil {
				return Evaluation{}, fmt.Errorf("agents: evaluation: %w", err)
			}
			clear(idle)
		}
	}
	for e, sum := range result.Returns {
		if math.IsNaN(sum) || math.IsInf(sum, 0) {
			return Evaluation{}, fmt.Errorf("agents: evaluation: return of episode %d is %v", e, sum)
		}
	}
	return result, nil
}

// Mean is the mean return.
func (e Evaluation) Mean() float64 { return mean(e.Returns) }

// Std is the standard deviation of the returns with divisor n, as in Stable-Baselines3.
func (e Evaluation) Std() float64 {
	m, sum := e.Mean(), 0.0
	for _, x := range e.Returns {
		sum += (x - m) * (x - m)
	}
	return math.Sqrt(sum / float64(len(e.Returns)))
}

// IQM is the interquartile mean of the returns: it drops a quarter of them, rounded down,
// at either end.
func (e Evaluation) IQM() float64 {
	sorted := slices.Sorted(slices.Values(e.Returns))
	cut := len(sorted) / 4
	return mean(sorted[cut : len(sorted)-cut])
}

// MeanLength is the mean length of the episodes, in steps.
func (e Evaluation) MeanLength() float64 {
	sum := 0.0
	for _, n := range e.Lengths {
		sum += float64(n)
	}
	return sum / float64(len(e.Lengths))
}

// Metrics are the figures that training records.
func (e Evaluation) Metrics() Metrics {
	return Metrics{
		"eval/mean_reward": e.Mean(), "eval/std_reward": e.Std(), "eval/iqm_reward": e.IQM(),
		"eval/mean_ep_length": e.MeanLength(),
	}
}
