package ebm

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn/flows"
	"github.com/stein-rl/stein/sampler"
)

// Initial configures q⁰, the distribution that particles start from. It learns with the
// sampler. In YAML, keys of another kind are errors.
type Initial struct {
	Kind string `want:"gaussian|mixture|glow"`
	// Start: with data, a gaussian starts from the mean and deviation of each value over
	// the training images, and a mixture from those of groups of similar images; with
	// noise, from mean 0 and deviation Std.
	Start      string  `kinds:"gaussian|mixture" default:"data" want:"data|noise"`
	Std        float64 `kinds:"gaussian|mixture" default:"0.5" want:"> 0"`
	StdMin     float64 `kinds:"gaussian|mixture" default:"0.01" want:"> 0"` // bounds of the deviations
	StdMax     float64 `kinds:"gaussian|mixture" default:"2" want:"> 0"`
	Components int     `kinds:"mixture" default:"32" want:">= 1"`

	Levels int `kinds:"glow" default:"2" want:">= 1"`  // L
	Steps  int `kinds:"glow" default:"4" want:">= 1"`  // K
	Hidden int `kinds:"glow" default:"32" want:">= 1"` // channels of the coupling networks
}

func (i Initial) validate() error {
	if i.StdMin > i.StdMax {
		return fmt.Errorf("initial: std_min %g is above std_max %g", i.StdMin, i.StdMax)
	}
	return nil
}

func (i Initial) check(s Shape) error {
	if i.Kind != "glow" {
		return nil
	}
	if err := i.glow(s).Check(); err != nil {
		return fmt.Errorf("initial: %w", err)
	}
	return nil
}

func (i Initial) glow(s Shape) flows.Glow {
	return flows.Glow{
		Height: s.Height, Width: s.Width, Channels: s.Channels,
		Levels: i.Levels, Steps: i.Steps, Hidden: i.Hidden,
	}
}

// build builds q⁰ of one system under scope.
func (i Initial) build(scope *model.Scope, g *Graph, s Shape) sampler.Initial {
	switch i.Kind {
	case "glow":
		return sampler.Flow(func(noise sampler.Noise, m int) (x, logQ *Node) {
			z := noise.Normal(sampler.ForInitial, 0, shapes.Make(dtypes.Float32, m, s.Size()))
			pictures, logQ := i.glow(s).Sample(scope, z)
			return Reshape(pictures, 1, m, s.Size()), Reshape(logQ, 1, m)
		})
	case "mixture":
		mean, std := i.located(scope, g, i.Components, s.Size())
		return sampler.GaussianMixture{Means: InsertAxes(mean, 0), Stds: InsertAxes(std, 0)}
	}
	mean, std := i.located(scope, g, 1, s.Size())
	return sampler.DiagonalGaussian{Mean: mean, Std: std}
}

// The variables of the normals, [K, D] each.
const (
	meanName   = "mean"
	logStdName = "log_std"
)

func (i Initial) located(scope *model.Scope, g *Graph, k, d int) (mean, std *Node) {
	mean = weight(scope, meanName, 0, k, d).NodeValue(g)
	log := weight(scope, logStdName, 0, k, d).NodeValue(g)
	return mean, Exp(MinScalar(MaxScalar(log, math.Log(i.StdMin)), math.Log(i.StdMax)))
}

// place initialises the normals from the images, [N, D].
func (i Initial) place(scope *model.Scope, pictures []float32, d int, seed uint64) error {
	if i.Kind == "glow" {
		return nil
	}
	k := 1
	if i.Kind == "mixture" {
		k = i.Components
	}
	mean, logStd := make([]float32, k*d), make([]float32, k*d)
	if i.Start == "data" {
		groups(pictures, d, mean, logStd, seed)
		for j, variance := range logStd {
			std := min(max(math.Sqrt(float64(variance)), i.StdMin), i.StdMax)
			logStd[j] = float32(math.Log(std))
		}
	} else {
		for j := range logStd {
			logStd[j] = float32(math.Log(i.Std))
		}
	}
	for name, values := range map[string][]float32{meanName: mean, logStdName: logStd} {
		if err := scope.GetVariable(name).SetValue(tensors.FromFlatDataAndDimensions(values, k, d)); err != nil {
			return fmt.Errorf("ebm: placing the initial distribution: %w", err)
		}
	}
	return nil
}
