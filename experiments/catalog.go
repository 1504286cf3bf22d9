package experiments

import "github.com/stein-rl/stein/policies"

// A Catalog gives names to the parts that a configuration can ask for.
type Catalog struct {
	// Policies make a policy with its defaults, a struct or a pointer to one.
	// Configurations set its exported fields, by their yaml tags or their names in
	// snake_case, bounded by their want tags; a Validate() error is asked last.
	Policies map[string]func() policies.Policy
}

// Builtin is the catalog of what Stein has. Add to it.
func Builtin() Catalog {
	return Catalog{Policies: map[string]func() policies.Policy{
		"gaussian": func() policies.Policy { return policies.NewGaussian() },
		"flow":     func() policies.Policy { return policies.NewFlow() },
		"stein":    func() policies.Policy { return policies.NewStein() },
	}}
}
