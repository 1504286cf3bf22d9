package report

// A panel is one figure of the live page: metrics on a common axis. The page shows a
// panel if some run has one of its metrics.
type panel struct {
	Title   string   `json:"title"`
	Axis    string   `json:"axis"` // label of the y axis, with the unit
	Metrics []string `json:"metrics"`
}

// panels are the default panels in order: first the results, then the diagnostics.
var panels = []panel{
	{"Return", "return of an episode", []string{"eval/mean_reward", "rollout/ep_rew_mean"}},
	{"Distance to the data", "distance", []string{"eval/fd_e0", "eval/fd_e2", "eval/fid"}},
	{"Energy", "mean energy f", []string{"energy/data", "energy/samples"}},
	{"Critic loss", "loss", []string{"train/critic_loss"}},
	{"Actor loss", "loss", []string{"train/actor_loss"}},
	{"Energy loss", "loss", []string{"train/energy_loss"}},
	{"Likelihood", "bits per dimension", []string{"train/bits_per_dim"}},
	{"Sampler loss", "loss in nats", []string{"train/sampler_loss"}},
	{"Entropy", "entropy in nats", []string{"train/entropy", "sampler/entropy"}},
	{"Temperature", "temperature α", []string{"train/ent_coef"}},
	{"Step size", "step size ε", []string{"policy/epsilon_used", "sampler/epsilon_used", "policy/epsilon", "sampler/epsilon"}},
	{"Bandwidth", "kernel bandwidth σ", []string{"policy/sigma", "sampler/sigma"}},
	{"Speed", "steps per second", []string{"time/fps"}},
}

// panelsWith returns the panels with the one of a metric first; a metric without a panel
// gets its own.
func panelsWith(metric string) []panel {
	first := panel{metric, metric, []string{metric}}
	var rest []panel
	for _, p := range panels {
		if p.Metrics[0] == metric || len(p.Metrics) > 1 && p.Metrics[1] == metric {
			first = p
			continue
		}
		rest = append(rest, p)
	}
	return append([]panel{first}, rest...)
}
