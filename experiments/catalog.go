package experiments

import (
	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/agents/td3"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/sampler"
)

// A Catalog gives names to the parts that a configuration can ask for.
type Catalog struct {
	// Policies make a policy with its defaults, a struct or a pointer to one.
	// Configurations set its exported fields, by their yaml tags or their names in
	// snake_case, bounded by their want tags; a Validate() error is asked last.
	Policies map[string]func() policies.Policy

	// Agents make the settings of a learner with their defaults, likewise.
	Agents map[string]func() agents.Maker

	// Kernels are what policy.sampler.kernel may name besides Stein's own.
	Kernels map[string]sampler.Kernel

	// Envs make one copy of an environment with its defaults, a pointer to a struct.
	// Configurations ask for it as env.id: go:NAME, and env.kwargs set its exported
	// fields as those of a policy.
	Envs map[string]func() envbridge.Simulator

	// Warn is told of what is read and should be written otherwise; nil: nobody is.
	Warn func(text string)
}

// Builtin is the catalog of what Stein has. Add to it.
func Builtin() Catalog {
	kernels := map[string]sampler.Kernel{}
	return Catalog{
		Policies: map[string]func() policies.Policy{
			"gaussian": func() policies.Policy { return policies.NewGaussian() },
			"flow":     func() policies.Policy { return policies.NewFlow() },
			"stein": func() policies.Policy {
				p := policies.NewStein()
				p.Sampler.Kernels = kernels // those added later are in it too
				return p
			},
		},
		Agents: map[string]func() agents.Maker{
			"sac": func() agents.Maker { return sac.Defaults() },
			"td3": func() agents.Maker { return td3.Defaults() },
		},
		Kernels: kernels,
		Envs:    map[string]func() envbridge.Simulator{},
	}
}
