// Package normalise keeps running statistics of observations and returns, and scales
// observations and rewards by them, like Stable-Baselines3's VecNormalize.
//
// The replay buffer and the reports hold raw numbers. A learner scales each minibatch,
// and an actor each observation, with the current statistics.
package normalize

import (
	"errors"
	"fmt"
	"math"
)

// A Config selects what is scaled. Zeros mean the defaults.
type Config struct {
	Obs, Reward bool // what to scale; the rest passes through
	ObsDim      int
	Copies      int     // environment copies
	Gamma       float64 // discount of the return whose spread scales rewards
	ClipObs     float64 // largest absolute value of a scaled number; 0: 10
	ClipReward  float64 // 0: 10
	Epsilon     float64 // added to a variance; 0: 1e-8
}

// A Normaliser scales by the statistics of what it observed. One goroutine uses it at a
// time.
type Normalizer struct {
	config  Config
	obs     Moments
	reward  Moments   // of the discounted return, one number
	returns []float64 // [Copies], Σ γ^(t-i) r_i of the running episodes
	frozen  bool
}

// State is a Normaliser's checkpoint. It omits the returns of the current episodes:
// environments start new ones.
type State struct {
	Obs    *Moments `json:"obs,omitempty"`    // nil: observations are not scaled
	Reward *Moments `json:"reward,omitempty"` // of the discounted return; nil: rewards are not scaled
}

// New returns a Normaliser without observations.
func New(c Config) (*Normalizer, error) {
	for _, v := range []*float64{&c.ClipObs, &c.ClipReward} {
		if *v == 0 {
			*v = 10
		}
	}
	if c.Epsilon == 0 {
		c.Epsilon = 1e-8
	}
	var errs []error
	if c.ObsDim < 1 || c.Copies < 1 {
		errs = append(errs, fmt.Errorf("normalize: ObsDim %d and Copies %d, want at least 1", c.ObsDim, c.Copies))
	}
	if !(c.Gamma >= 0 && c.Gamma <= 1) {
		errs = append(errs, fmt.Errorf("normalize: Gamma %v, want 0 to 1", c.Gamma))
	}
	if !(c.ClipObs > 0) || !(c.ClipReward > 0) || !(c.Epsilon > 0) {
		errs = append(errs, fmt.Errorf("normalize: ClipObs %v, ClipReward %v, Epsilon %v, want above 0", c.ClipObs, c.ClipReward, c.Epsilon))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	n := &Normalizer{config: c, obs: newMoments(c.ObsDim), reward: newMoments(1)}
	n.returns = make([]float64, c.Copies)
	return n, nil
}

// Frozen returns a copy with the current statistics that never learns, for evaluation and
// serving.
func (n *Normalizer) Frozen() *Normalizer {
	return &Normalizer{config: n.config, obs: n.obs.clone(), reward: n.reward.clone(), returns: make([]float64, len(n.returns)), frozen: true}
}

// Observe learns from a step of the copies numbered from first: the next observations to
// act on, [n*ObsDim] (after a reset those of the new episode), the rewards, and which
// episodes ended, [n] each. After a reset of all copies, rewards are nil. A step with a
// number that is not finite is ignored; the code that stores it must reject it.
func (n *Normalizer) Observe(first int, obs, reward []float32, terminated, truncated []bool) {
	if n.frozen || !finite(obs) || !finite(reward) {
		return
	}
	if n.config.Obs {
		add(&n.obs, obs)
	}
	if !n.config.Reward || len(reward) == 0 {
		return
	}
	returns := n.returns[first : first+len(reward)]
	for i, x := range reward {
		returns[i] = returns[i]*n.config.Gamma + float64(x)
	}
	add(&n.reward, returns)
	for i := range returns {
		if terminated[i] || truncated[i] {
			returns[i] = 0
		}
	}
}

// Obs scales observations in place, [N*ObsDim].
func (n *Normalizer) Obs(rows []float32) {
	if !n.config.Obs {
		return
	}
	dim := n.config.ObsDim
	for d := range dim {
		mean, scale := n.obs.Mean[d], math.Sqrt(n.obs.Var[d]+n.config.Epsilon)
		for i := d; i < len(rows); i += dim {
			rows[i] = clip((float64(rows[i])-mean)/scale, n.config.ClipObs)
		}
	}
}

// Reward scales rewards in place: it divides them by the standard deviation of the return
// and does not shift them.
func (n *Normalizer) Reward(rewards []float32) {
	if !n.config.Reward {
		return
	}
	scale := math.Sqrt(n.reward.Var[0] + n.config.Epsilon)
	for i, x := range rewards {
		rewards[i] = clip(float64(x)/scale, n.config.ClipReward)
	}
}

func clip(x, limit float64) float32 { return float32(max(-limit, min(limit, x))) }

// State returns a copy of the statistics.
func (n *Normalizer) State() State {
	var s State
	if n.config.Obs {
		m := n.obs.clone()
		s.Obs = &m
	}
	if n.config.Reward {
		m := n.reward.clone()
		s.Reward = &m
	}
	return s
}

// Restore sets the statistics from a State, which must hold exactly those that n scales.
// Current episodes count as ended.
func (n *Normalizer) Restore(s State) error {
	if (s.Obs != nil) != n.config.Obs || (s.Reward != nil) != n.config.Reward {
		return fmt.Errorf("normalize: the state has statistics of observations: %t, of returns: %t; this run scales observations: %t, rewards: %t",
			s.Obs != nil, s.Reward != nil, n.config.Obs, n.config.Reward)
	}
	var errs []error
	if s.Obs != nil {
		errs = append(errs, s.Obs.check("observation", n.config.ObsDim))
	}
	if s.Reward != nil {
		errs = append(errs, s.Reward.check("return", 1))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if s.Obs != nil {
		n.obs = s.Obs.clone()
	}
	if s.Reward != nil {
		n.reward = s.Reward.clone()
	}
	clear(n.returns)
	return nil
}
