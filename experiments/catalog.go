package experiments

import (
	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/agents/td3"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/sampler"
)

// A Catalog maps names in a configuration to parts.
type Catalog struct {
	// Policies construct a policy with its defaults, a struct or a pointer to one.
	// Configurations set its exported fields, named by their yaml tags or in snake_case
	// and bounded by their want tags. Its Validate() error method, if any, is called
	// last.
	Policies map[string]func() policies.Policy

	// Agents construct the settings of a learner with their defaults, in the same way.
	Agents map[string]func() agents.Maker

	// Kernels are additional values of policy.sampler.kernel.
	Kernels map[string]sampler.Kernel

	// Envs construct one copy of an environment with its defaults, a pointer to a struct.
	// A configuration selects one with env.id: go:NAME and sets its exported fields with
	// env.kwargs.
	Envs map[string]func() envbridge.Simulator

	// Warn receives warnings about outdated settings; may be nil.
	Warn func(text string)
}

// Builtin is the catalog of Stein's own parts. Programs can add to it.
func Builtin() Catalog {
	kernels := map[string]sampler.Kernel{}
	return Catalog{
		Policies: map[string]func() policies.Policy{
			"gaussian": func() policies.Policy { return policies.NewGaussian() },
			"flow":     func() policies.Policy { return policies.NewFlow() },
			"stein": func() policies.Policy {
				p := policies.NewStein()
				p.Sampler.Kernels = kernels // includes kernels added later
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
