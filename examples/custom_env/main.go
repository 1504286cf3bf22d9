// A custom program: stein with an environment written in Go, a sledge that a force pushes
// along a rail and that must stay in the middle. It needs no Python.
//
//	go run ./examples/custom_env env check go:sledge
//	go run ./examples/custom_env train --config pendulum/sac --env go:sledge --steps 5000
package main

import (
	"math/rand/v2"
	"os"

	"github.com/stein-rl/stein/cmd"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
)

// Sledge is the simulator. Its exported fields are settings, as in
// --set env.kwargs.friction=0.5
type Sledge struct {
	Friction float64 `want:">= 0"` // fraction of the velocity lost per second
	Force    float64 `want:"> 0"`  // of action 1, in N; the sledge weighs 1 kg
	x, v     float64 // m from the middle, m/s
}

const (
	second = 0.1 // duration of a step
	edge   = 2.0 // end of the rail, in m
)

// Sizes: the observation is x and v, the action one force.
func (s *Sledge) Sizes() (obsDim, actDim int) { return 2, 1 }

// MaxSteps limits an episode to ten seconds.
func (s *Sledge) MaxSteps() int { return 100 }

// Reset puts the sledge at rest at a random position.
func (s *Sledge) Reset(seed uint64, obs []float32) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	s.x, s.v = 2*rng.Float64()-1, 0
	s.see(obs)
	return nil
}

// Step applies the force for a tenth of a second. The reward penalises distance and
// speed. The end of the rail ends the episode and costs as much as staying there.
func (s *Sledge) Step(action, obs []float32) (reward float32, terminated bool, err error) {
	s.v += second * (s.Force*float64(action[0]) - s.Friction*s.v)
	s.x += second * s.v
	s.see(obs)
	if s.x < -edge || s.x > edge {
		return -100, true, nil
	}
	return float32(-s.x*s.x - 0.1*s.v*s.v), false, nil
}

func (s *Sledge) see(obs []float32) { obs[0], obs[1] = float32(s.x), float32(s.v) }

func catalog() experiments.Catalog {
	c := experiments.Builtin()
	c.Envs["sledge"] = func() envbridge.Simulator { return &Sledge{Friction: 0.2, Force: 2} } // with its defaults
	return c
}

func main() { os.Exit(cmd.Main(catalog())) }
