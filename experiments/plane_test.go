package experiments

import (
	"bytes"
	"image/png"
	"math"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
)

// onGrid is a portrait of a critic for which exp(Q/α) is exp(logp).
func onGrid(logp func(x, y float64) float64) agents.Portrait {
	p := agents.Portrait{Alpha: 0.5}
	cells := actionGrid()
	for i := 0; i < len(cells); i += 2 {
		p.Value = append(p.Value, float32(p.Alpha*logp(float64(cells[i]), float64(cells[i+1]))))
	}
	return p
}

// Ensure that the entropy on a grid is that of densities where it is known.
func TestGridEntropy(t *testing.T) {
	const sigma = 0.1
	for name, c := range map[string]struct {
		logp func(x, y float64) float64
		want float64
	}{
		"flat":   {func(_, _ float64) float64 { return 7 }, math.Log(4)},
		"normal": {func(x, y float64) float64 { return 1e3 - (x*x+y*y)/(2*sigma*sigma) }, math.Log(2 * math.Pi * math.E * sigma * sigma)},
	} {
		if got := gridEntropy(onGrid(c.logp)); math.Abs(got-c.want) > 1e-3 {
			t.Errorf("%s: %g, want %g", name, got, c.want)
		}
	}
}

// straight walks row i to goal i of those there are.
type straight struct {
	agents.Agent
	goals []Goal
}

func (s straight) Act(obs []float32, _ bool) ([]float32, error) {
	action := make([]float32, len(obs))
	for i := range len(obs) / 2 {
		g := s.goals[i%len(s.goals)]
		x, y := g.X-float64(obs[2*i]), g.Y-float64(obs[2*i+1])
		far := max(1, math.Hypot(x, y))
		action[2*i], action[2*i+1] = float32(x/far), float32(y/far)
	}
	return action, nil
}

// Ensure that exp(Q/α) is divided by direction: a flat one as the square of actions is by
// the lines half-way between two goals, a peak to the goal that it is on the way to.
func TestShare(t *testing.T) {
	for _, c := range []struct {
		name string
		logp func(x, y float64) float64
		want []float64
	}{
		{"flat", func(_, _ float64) float64 { return 0 }, []float64{5. / 12, 3.5 / 12, 3.5 / 12}},
		{"peak", func(x, y float64) float64 { return -200 * ((x+0.4)*(x+0.4) + (y-0.3)*(y-0.3)) }, []float64{0, 1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			goals := goalsOf("stein/MultiGoal-v0")
			share(goals, Portrayal{portrait: onGrid(c.logp)})
			for i, g := range goals {
				// Half a row of cells lies on the line between two goals.
				if math.Abs(g.Share-c.want[i]) > 0.5/gridSide {
					t.Errorf("goal (%g, %g): share %g, want %g", g.X, g.Y, g.Share, c.want[i])
				}
			}
		})
	}
}

// Ensure that the goals are where the real environment has them, that episodes are
// counted at the one they end at, and that their ways are whole.
func TestGoals(t *testing.T) {
	for _, id := range []string{"stein/MultiGoal-v0", "stein/MultiGoal4-v0"} {
		t.Run(id, func(t *testing.T) {
			goals := goalsOf(id)
			env, err := envbridge.Start(t.Context(), envbridge.Worker{Env: id, Copies: len(goals)})
			if err != nil {
				t.Fatal(err)
			}
			defer env.Close()
			episodes := 2*len(goals) + 1
			traced := newTracer(env, episodes)
			result, err := agents.Evaluate(t.Context(), traced, straight{goals: goals}, nil, episodes, 1)
			if err != nil {
				t.Fatal(err)
			}
			for e, p := range traced.paths {
				if int64(len(p.X)) != result.Lengths[e]+1 || p.X[0] != 0 || p.Y[0] != 0 {
					t.Errorf("episode %d of %d steps: a way of %d points from (%g, %g)", e, result.Lengths[e], len(p.X), p.X[0], p.Y[0])
				}
				if result.Lengths[e] >= 30 {
					t.Errorf("episode %d ran into its time limit", e)
				}
			}
			count(goals, traced.paths)
			for i, g := range goals {
				want := 2
				if i == 0 {
					want = 3
				}
				if g.Visits != want {
					t.Errorf("goal (%g, %g): %d episodes, want %d", g.X, g.Y, g.Visits, want)
				}
			}
			var out bytes.Buffer
			if err := (Plane{Goals: goals}).draw(id, traced.paths, &out); err != nil {
				t.Fatal(err)
			}
			if _, err := png.Decode(&out); err != nil {
				t.Error(err)
			}
		})
	}
	if g := goalsOf("Walker2d-v5"); g != nil {
		t.Errorf("Walker2d-v5 has goals %v", g)
	}
	if g := goalsOf("stein/MultiGoalWalls-v0"); len(g) != 3 {
		t.Errorf("with walls: goals %v", g)
	}
}
