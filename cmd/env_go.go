package cmd

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/stein-rl/stein/envbridge"
)

// inGo checks an environment in this program.
func (e *envCheck) inGo(ctx context.Context, kwargs map[string]any) error {
	env, err := e.catalog.OpenEnv(e.id, kwargs, goCopies, 0)
	if err != nil {
		return err
	}
	defer env.Close()
	spec := env.Spec()
	limit := "no time limit"
	if spec.MaxSteps > 0 {
		limit = fmt.Sprintf("at most %d steps", spec.MaxSteps)
	}
	findings := []envFinding{{"sizes", fine, fmt.Sprintf("observations of %d, actions of %d numbers, %s", spec.ObsDim, spec.ActDim, limit)}}
	findings = append(findings, goEpisodes(ctx, env)...)
	if steps, took, err := stepsIn(ctx, env); err != nil {
		findings = append(findings, envFinding{"speed", broken, err.Error()})
	} else {
		findings = append(findings, envFinding{"speed", fine, fmt.Sprintf("%.0f steps/s", float64(steps*goCopies)/took.Seconds())})
	}
	failed := false
	for _, f := range findings {
		failed = failed || f.State == broken
		if err := e.print(f); err != nil {
			return err
		}
	}
	if failed {
		return fmt.Errorf("cannot train on %s: see the lines marked FAIL", e.id)
	}
	return nil
}

// The extent of goEpisodes.
const (
	goCopies = 2
	goSteps  = 2000
)

// goEpisodes checks seeding, finite numbers and ends of episodes.
func goEpisodes(ctx context.Context, env envbridge.Env) []envFinding {
	one, err := trace(ctx, env, 1)
	if err != nil {
		return []envFinding{{"episodes", broken, err.Error()}}
	}
	again, err := trace(ctx, env, 1)
	if err != nil {
		return []envFinding{{"episodes", broken, err.Error()}}
	}
	other, err := trace(ctx, env, 2)
	if err != nil {
		return []envFinding{{"episodes", broken, err.Error()}}
	}
	all := []envFinding{{"seeds", fine, "the same seed gives the same trajectory"}}
	switch {
	case !slices.Equal(one.seen, again.seen):
		all[0] = envFinding{"seeds", broken, "the same seed gave another trajectory: derive all randomness from the seed of Reset"}
	case slices.Equal(one.seen, other.seen):
		all[0] = envFinding{"seeds", lacking, "another seed gave the same trajectory: fine if nothing is random"}
	}
	if one.bad != "" {
		all = append(all, envFinding{"numbers", broken, one.bad})
	} else {
		all = append(all, envFinding{"numbers", fine, fmt.Sprintf("all finite in %d steps with random actions", goSteps)})
	}
	ends := envFinding{"ends", fine, fmt.Sprintf("%d episodes terminated, %d reached the time limit", one.terminated, one.truncated)}
	if one.terminated+one.truncated == 0 {
		ends = envFinding{"ends", lacking, "no episode ended: set a time limit with env.max_steps or a method MaxSteps"}
	}
	return append(all, ends)
}

// A course is a trajectory under a fixed sequence of actions.
type course struct {
	seen                  []float32
	terminated, truncated int
	bad                   string // the first figure that is not finite
}

func trace(ctx context.Context, env envbridge.Env, seed int64) (c course, err error) {
	obs, err := env.Reset(ctx, seed)
	if err != nil {
		return c, err
	}
	c.see(0, obs)
	rng := rand.New(rand.NewPCG(3, 4))
	action := make([]float32, env.Spec().Copies*env.Spec().ActDim)
	for n := 1; n <= goSteps; n++ {
		for i := range action {
			action[i] = 2*rng.Float32() - 1
		}
		if err := env.Send(ctx, action); err != nil {
			return c, err
		}
		step, err := env.Recv(ctx)
		if err != nil {
			return c, err
		}
		c.see(n, step.Next)
		c.see(n, step.Reward)
		for i := range step.Terminated {
			if step.Terminated[i] {
				c.terminated++
			}
			if step.Truncated[i] {
				c.truncated++
			}
		}
	}
	return c, nil
}

func (c *course) see(step int, numbers []float32) {
	for _, x := range numbers {
		if c.bad == "" && (math.IsNaN(float64(x)) || math.IsInf(float64(x), 0)) {
			c.bad = fmt.Sprintf("step %d: %v in the observation or reward", step, x)
		}
	}
	c.seen = append(c.seen, numbers...)
}
