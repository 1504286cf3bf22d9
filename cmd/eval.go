package cmd

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/runs"
)

func (a *app) evalCmd() *cobra.Command {
	var x experiments.Exam
	var seed uint64
	var asJSON, best bool
	var backend string
	cmd := &cobra.Command{
		Use:   "eval RUN",
		Short: "Evaluate a run's agent, or record a video of it",
		Long: `Runs episodes with the greedy actions of a run's agent, on new environments. Prints
each episode, then mean, standard deviation and interquartile mean. Returns are sums of
unscaled rewards. The same seed and checkpoint give the same episodes.

--video records the first episode, through EGL or OSMesa; no screen is needed.
--plot works if observations and actions are points of a plane: it draws the
trajectories of all episodes, and the policy's actions at a few states over exp(Q/α),
with the entropy according to the policy and to a grid.`,
		Example: `  stein eval runs/walker2d-sac-0-20261124-120000 --episodes 20 --checkpoint best
  stein eval runs/walker2d-sac-0-20261124-120000 --episodes 1 --video walk.mp4
  stein eval runs/walker2d-sac-0-20261124-120000 --json | jq .iqm
  stein eval runs/multigoal-met-sigma-eps-0-20261124-120000 --episodes 60 --plot ways.png`,
		Aliases: []string{"enjoy"},
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			x.Dir = args[0]
			if x.Episodes < 1 && c.Flags().Changed("episodes") {
				return usageError{fmt.Errorf("--episodes %d: want at least 1", x.Episodes)}
			}
			if x.Video != "" {
				if err := experiments.CheckVideo(x.Video); err != nil {
					return usageError{err}
				}
			}
			if c.Flags().Changed("seed") {
				s := runs.Seed(seed)
				x.Seed = &s
			}
			if best {
				x.Checkpoint = "best"
			}
			if backend != "" {
				x.Sets = append(x.Sets, fmt.Sprintf("engine.backend=%q", backend))
			}
			x.Log = slog.New(a.logs.quieter(a.stderr, isTerminal(a.stderr)))
			return a.eval(c, x, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&x.Episodes, "episodes", 0, "number of episodes (default: as in training)")
	flags.Uint64Var(&seed, "seed", 0, "random seed of the episodes (default: that of the run)")
	flags.StringVar(&x.Checkpoint, "checkpoint", "last", "last, best, or a step")
	flags.BoolVar(&best, "load-best", false, "short for --checkpoint best")
	flags.StringVar(&x.Video, "video", "", "record the first episode in this `FILE`: .mp4, .m4v, .mov, .mkv, .webm, .avi or .gif")
	flags.StringVar(&x.Plot, "plot", "", "draw episodes and policy on the plane into this PNG `FILE`")
	flags.BoolVar(&x.Stochastic, "stochastic", false, "sample actions from the policy instead of taking the greedy action")
	flags.StringVar(&backend, "backend", "", "numeric backend (default: that of the run)")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	setFlag(cmd, &x.Sets)
	return cmd
}

func (a *app) eval(c *cobra.Command, x experiments.Exam, asJSON bool) error {
	m, err := a.catalog.Evaluate(c.Context(), x)
	if len(m.Returns) == 0 {
		return err
	}
	if err != nil { // the video failed, but the episodes are complete
		x.Video = ""
	}
	if asJSON {
		return errors.Join(err, a.printJSON(struct {
			Run        string             `json:"run"`
			Env        string             `json:"env"`
			Step       int64              `json:"step"`
			Checkpoint string             `json:"checkpoint"`
			Seed       uint64             `json:"seed"`
			Video      string             `json:"video,omitempty"`
			Plot       string             `json:"plot,omitempty"`
			Plane      *experiments.Plane `json:"plane,omitempty"`
			evalReport
		}{x.Dir, m.Config.Env.ID, m.Step, m.Path, uint64(m.Seed), x.Video, x.Plot, m.Plane, summarize(m.Evaluation)}))
	}
	actions := "greedy"
	if x.Stochastic {
		actions = "drawn"
	}
	fmt.Fprintf(a.stdout, "%s, checkpoint of step %s, seed %d, %s actions\n", m.Config.Env.ID, thousands(m.Step), m.Seed, actions)
	a.printEval(m.Evaluation)
	if m.Plane != nil {
		a.printPlane(m.Plane, x.Plot)
	}
	if x.Video != "" {
		fmt.Fprintf(a.stdout, "\nvideo       %s (%d frames)\n", x.Video, m.Video)
	}
	return err
}

// printPlane prints where episodes ended, and the entropies.
func (a *app) printPlane(p *experiments.Plane, path string) {
	if len(p.Goals) > 0 {
		fmt.Fprint(a.stdout, "\ngoal           episodes that ended there   share of exp(Q/α) at the start\n")
	}
	for _, g := range p.Goals {
		fmt.Fprintf(a.stdout, "%-14s %-28d%.3f\n", fmt.Sprintf("(%g, %g)", g.X, g.Y), g.Visits, g.Share)
	}
	fmt.Fprint(a.stdout, "\nstate          entropy   of exp(Q/α)\n")
	for _, s := range p.States {
		fmt.Fprintf(a.stdout, "%-14s %7.3f   %11.3f\n", fmt.Sprintf("(%g, %g)", s.X, s.Y), s.Entropy, s.Exact)
	}
	fmt.Fprintf(a.stdout, "\nplot        %s\n", path)
}
