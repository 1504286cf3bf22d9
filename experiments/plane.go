package experiments

import (
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/picture"
)

// A Plane holds extra results of an evaluation on a plane: where episodes ended, and the
// policy at a few states compared with exp(Q/α).
type Plane struct {
	Goals  []Goal      `json:"goals,omitempty"` // of the multi-goal environment
	States []Portrayal `json:"states"`
}

// A Goal is a position, the number of episodes that ended there, and the fraction of
// exp(Q/α) at the first shown state that is directed to it.
type Goal struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Visits int     `json:"visits"`
	Share  float64 `json:"share"` // in [0, 1]
}

// A Portrayal is the policy at one state.
type Portrayal struct {
	X       float64 `json:"x"`
	Y       float64 `json:"y"`
	Entropy float64 `json:"entropy"` // the policy's own estimate, −mean log π, in nats
	Exact   float64 `json:"exact"`   // of exp(Q/α) on (−1, 1)², on a grid, in nats

	portrait agents.Portrait
}

// multiGoal are the goals of python_env/stein_env/multigoal.py by layout. A goal is
// reached within reach.
var multiGoal = map[string][]Goal{
	"stein/MultiGoal":  {{X: 5}, {X: -4, Y: 3}, {X: -4, Y: -3}},
	"stein/MultiGoal4": {{X: 5}, {X: -5}, {Y: 5}, {Y: -5}},
}

const reach = 0.5

// goalsOf returns the goals of an environment, if it has any.
func goalsOf(id string) []Goal {
	layout := strings.TrimSuffix(id[:len(id)-len(versionOf(id))], "Walls")
	return append([]Goal(nil), multiGoal[layout]...)
}

func versionOf(id string) string {
	if i := strings.LastIndex(id, "-v"); i >= 0 {
		return id[i:]
	}
	return ""
}

// shownStates are the states at which a plane's policy is shown: the start, and states
// around it.
var shownStates = [][2]float32{{0, 0}, {2.5, 0}, {-2, 1.5}, {-2, -1.5}, {0, 2}}

const (
	gridSide  = 101 // actions of the grid in each direction
	shownRuns = 100 // draws of all particles
)

// planar reports whether an environment can be drawn.
func planar(spec envbridge.Spec) error {
	if spec.ObsDim != 2 || spec.ActDim != 2 {
		return fmt.Errorf("--plot needs observations and actions of 2 numbers: %s has %d and %d", spec.ID, spec.ObsDim, spec.ActDim)
	}
	return nil
}

// onPlane evaluates the agent, counts goals, and draws paths and policy.
func (m *Mark) onPlane(ctx context.Context, x Exam, env envbridge.Env, learner agents.Learner, agent agents.Agent, norm agents.Normalizer, seed int64) (err error) {
	sitter, ok := learner.(portrayer)
	if !ok {
		return fmt.Errorf("--plot: agents of kind %s do not support it", m.Config.Agent.Name)
	}
	traced := newTracer(env, x.Episodes)
	if m.Evaluation, err = agents.Evaluate(ctx, traced, agent, norm, x.Episodes, seed); err != nil {
		return err
	}
	m.Plane = &Plane{Goals: goalsOf(m.Config.Env.ID)}
	count(m.Plane.Goals, traced.paths)
	if m.Plane.States, err = portray(sitter, norm); err != nil {
		return err
	}
	share(m.Plane.Goals, m.Plane.States[0])
	return picture.Save(x.Plot, func(w io.Writer) error { return m.Plane.draw(m.Config.Env.ID, traced.paths, w) })
}

// actionGrid is the centres of gridSide × gridSide cells of (−1, 1)², [2G].
func actionGrid() []float32 {
	grid := make([]float32, 0, 2*gridSide*gridSide)
	at := func(i int) float32 { return (2*float32(i)+1)/gridSide - 1 }
	for i := range gridSide {
		for j := range gridSide {
			grid = append(grid, at(i), at(j))
		}
	}
	return grid
}

// A portrayer draws from its policy at obs [S], times its particles, and evaluates
// actions [G*A].
type portrayer interface {
	Portrait(obs []float32, times int, actions []float32) (agents.Portrait, error)
}

// portray evaluates the agent at shownStates.
func portray(agent portrayer, norm agents.Normalizer) ([]Portrayal, error) {
	grid := actionGrid()
	var all []Portrayal
	for _, state := range shownStates {
		obs := state
		if norm != nil {
			norm.Obs(obs[:])
		}
		p, err := agent.Portrait(obs[:], shownRuns, grid)
		if err != nil {
			return nil, err
		}
		shown := Portrayal{X: float64(state[0]), Y: float64(state[1]), portrait: p}
		for _, x := range p.LogProb {
			shown.Entropy -= float64(x) / float64(len(p.LogProb))
		}
		shown.Exact = gridEntropy(p)
		all = append(all, shown)
	}
	return all, nil
}

// gridEntropy is the entropy, in nats, of the density ∝ exp(Q/α) that is constant in each
// cell of the grid.
func gridEntropy(p agents.Portrait) float64 {
	top := math.Inf(-1)
	for _, v := range p.Value {
		top = max(top, float64(v)/p.Alpha)
	}
	z, mean := 0.0, 0.0
	for _, v := range p.Value {
		logp := float64(v)/p.Alpha - top
		z += math.Exp(logp)
		mean += math.Exp(logp) * logp
	}
	cell := 4.0 / float64(len(p.Value)) // the area is 2 × 2
	return math.Log(z*cell) - mean/z
}

// share divides exp(Q/α) at a state among the goals. An action counts for the goal
// nearest to its direction.
func share(goals []Goal, from Portrayal) {
	if len(goals) == 0 {
		return
	}
	top := slices.Max(from.portrait.Value)
	grid, sum := actionGrid(), 0.0
	for i, v := range from.portrait.Value {
		best, nearest := math.Inf(-1), 0
		for g, goal := range goals {
			x, y := goal.X-from.X, goal.Y-from.Y
			if along := (x*float64(grid[2*i]) + y*float64(grid[2*i+1])) / math.Hypot(x, y); along > best {
				best, nearest = along, g
			}
		}
		mass := math.Exp(float64(v-top) / from.portrait.Alpha)
		goals[nearest].Share += mass
		sum += mass
	}
	for g := range goals {
		goals[g].Share /= sum
	}
}

// A tracer is an Env that records the trajectory of each episode. Copy i runs episodes i,
// i+N, i+2N …, as in agents.Evaluate.
type tracer struct {
	envbridge.Env
	paths []picture.Path // by number of the episode
	at    []int          // episode that each copy is running
}

func newTracer(env envbridge.Env, episodes int) *tracer {
	t := &tracer{Env: env, paths: make([]picture.Path, episodes)}
	for i := range env.Spec().Copies {
		t.at = append(t.at, i)
	}
	return t
}

// Reset begins the first episodes.
func (t *tracer) Reset(ctx context.Context, seed int64) ([]float32, error) {
	obs, err := t.Env.Reset(ctx, seed)
	for i := range t.at {
		if err == nil {
			t.visit(i, obs)
		}
	}
	return obs, err
}

// Recv appends a step to every trajectory.
func (t *tracer) Recv(ctx context.Context) (envbridge.Step, error) {
	step, err := t.Env.Recv(ctx)
	if err != nil {
		return step, err
	}
	for i := range t.at {
		if step.Lost { // the episode will be repeated
			if t.at[i] < len(t.paths) {
				t.paths[t.at[i]] = picture.Path{}
			}
			t.visit(i, step.Obs)
			continue
		}
		t.visit(i, step.Next)
		if step.Terminated[i] || step.Truncated[i] {
			t.at[i] += len(t.at)
			t.visit(i, step.Obs)
		}
	}
	return step, nil
}

func (t *tracer) visit(i int, obs []float32) {
	if e := t.at[i]; e < len(t.paths) {
		p := &t.paths[e]
		p.X, p.Y = append(p.X, float64(obs[2*i])), append(p.Y, float64(obs[2*i+1]))
	}
}

// count counts the episodes that ended at each goal.
func count(goals []Goal, paths []picture.Path) {
	for _, p := range paths {
		n := len(p.X) - 1
		for g := range goals {
			if math.Hypot(p.X[n]-goals[g].X, p.Y[n]-goals[g].Y) <= reach+1e-6 {
				goals[g].Visits++
			}
		}
	}
}

// draw draws the trajectories, and the policy at each state over exp(Q/α), on one sheet.
func (p Plane) draw(id string, paths []picture.Path, w io.Writer) error {
	m := picture.Map{Title: fmt.Sprintf("%s, %d episodes", id, len(paths)), Paths: paths}
	for _, g := range p.Goals {
		m.Left, m.Right, m.Bottom, m.Top = -7, 7, -7, 7
		m.PlacesX, m.PlacesY = append(m.PlacesX, g.X), append(m.PlacesY, g.Y)
	}
	first, err := m.Draw()
	if err != nil {
		return err
	}
	sheet := []image.Image{first}
	for _, s := range p.States {
		img, err := s.draw()
		if err != nil {
			return err
		}
		sheet = append(sheet, img)
	}
	if err := png.Encode(w, picture.Tile(sheet, 3)); err != nil {
		return fmt.Errorf("drawing: %w", err)
	}
	return nil
}

// draw draws the policy's samples over the density ∝ exp(Q/α) of actions.
func (s Portrayal) draw() (image.Image, error) {
	cell := func(x float64) int { return min(gridSide-1, max(0, int((x+1)/2*gridSide))) }
	scene := picture.Scene{
		Title: fmt.Sprintf("actions at (%g, %g)", s.X, s.Y),
		Left:  -1, Right: 1, Bottom: -1, Top: 1,
		LogDensity: func(x, y float64) float64 {
			return float64(s.portrait.Value[cell(x)*gridSide+cell(y)]) / s.portrait.Alpha
		},
	}
	frame := picture.Frame{Note: fmt.Sprintf("H %.2f, of exp(Q/α) %.2f", s.Entropy, s.Exact)}
	for i := range min(300, len(s.portrait.LogProb)) {
		frame.X = append(frame.X, float64(s.portrait.Actions[2*i]))
		frame.Y = append(frame.Y, float64(s.portrait.Actions[2*i+1]))
	}
	return scene.Draw(frame)
}

// An impulsive agent samples from its policy even when greedy actions are requested.
type impulsive struct{ agents.Learner }

// Act samples an action for each row of obs.
func (i impulsive) Act(obs []float32, _ bool) ([]float32, error) { return i.Learner.Act(obs, false) }
