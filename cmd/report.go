package cmd

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/report"
)

func (a *app) reportCmd() *cobra.Command {
	var o report.Options
	var out string
	var gamma float64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "report RUNS…",
		Short: "Compare runs: statistics with intervals, figures, one HTML page",
		Long: `Compares the runs in the given folders and below. Runs whose configurations differ only
in the seed are grouped. Groups are compared by the interquartile mean, with
stratified-bootstrap intervals.

The folder --out gets index.html, which is self-contained, each figure as SVG and PNG,
and every number as CSV. Published figures of a configuration are drawn as thin dashed
lines.`,
		Example: `  stein report runs/sweep-walker2d
  stein report runs/hopper-* runs/walker2d-* --out report --title "Two tasks"
  stein report runs --return rollout/ep_rew_mean --metric policy/sigma --metric policy/acceptance`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if n := o.Bootstrap.Resamples; n < 1 || n > report.MostResamples {
				return usageError{fmt.Errorf("--resamples %d: want 1 to %s", n, thousands(report.MostResamples))}
			}
			if c.Flags().Changed("gamma") {
				if math.IsNaN(gamma) || math.IsInf(gamma, 0) {
					return usageError{fmt.Errorf("--gamma %g: want a number", gamma)}
				}
				o.Gamma = &gamma
			}
			return interruptible(c.Context(), func() error { return a.report(args, o, out, asJSON) })
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&out, "out", "o", "report", "write into this `FOLDER`")
	flags.StringVar(&o.Title, "title", "", "title of the page")
	flags.StringVar(&o.Return, "return", "", "`METRIC` that runs are compared by (default: eval/mean_reward; for image models eval/fid or eval/fd_e0)")
	flags.StringArrayVar(&o.Metrics, "metric", nil, "also draw this `METRIC` over training, instead of policy/score_norm, sampler/score_norm and sampler/rejection (repeatable)")
	flags.IntVar(&o.Bootstrap.Resamples, "resamples", 2000, "resamples of the bootstrap")
	flags.Uint64Var(&o.Bootstrap.Seed, "bootstrap-seed", 0, "random seed of the bootstrap")
	flags.Float64Var(&gamma, "gamma", 0, "threshold of the optimality gap (default: the score of the best run)")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// reported is a configuration's line for programs. Figures that are not there are null.
// A reportedControl is what --json says of a control of image models.
type reportedControl struct {
	Env           string           `json:"env"`
	Control       string           `json:"control"`
	Configuration string           `json:"configuration,omitempty"` // whose samples start there
	Metric        string           `json:"metric"`
	Runs          int              `json:"runs"`
	IQM           *report.Interval `json:"iqm"` // null: not measured
	KID           *report.Interval `json:"kid"`
}

func measured(i report.Interval) *report.Interval {
	if math.IsNaN(i.Value) {
		return nil
	}
	return &i
}

type reported struct {
	Env           string          `json:"env"` // or the data set
	Metric        string          `json:"metric,omitempty"`
	Configuration string          `json:"configuration"`
	Runs          int             `json:"runs"`
	Step          float64         `json:"step"`
	IQM           report.Interval `json:"iqm"`
	Mean          report.Interval `json:"mean"`
	Median        report.Interval `json:"median"`
	Gap           report.Interval `json:"optimality_gap"`
	Published     *float64        `json:"published,omitempty"`
}

func (a *app) report(dirs []string, o report.Options, out string, asJSON bool) error {
	r, err := report.New(dirs, o)
	if err != nil {
		return err
	}
	paths, err := r.Write(out)
	if err != nil {
		return err
	}
	for _, l := range r.Left {
		a.leftOut(l.Dir, l.Why)
	}
	var lines []reported
	var controls []reportedControl
	for _, s := range r.Sections {
		for _, one := range s.Results {
			line := reported{s.Env, s.Metric, one.Label, len(one.Runs), one.End, one.IQM, one.Mean, one.Median, one.Gap, nil}
			if p := one.Published; p != nil && !math.IsNaN(p.Final) {
				line.Published = &p.Final
			}
			lines = append(lines, line)
		}
		for _, c := range s.Controls {
			line := reportedControl{Env: s.Env, Control: c.Name, Metric: s.Metric, Runs: c.Runs, IQM: measured(c.Score), KID: measured(c.KID)}
			if c.Of != nil {
				line.Configuration = c.Of.Label
			}
			controls = append(controls, line)
		}
	}
	if asJSON {
		return a.printJSON(struct {
			Page  string        `json:"page"`
			Files []string      `json:"files"`
			End   []reported    `json:"end"`
			Left  []report.Left `json:"left_out"`

			Controls []reportedControl `json:"controls,omitempty"`
		}{paths[0], paths, lines, slices.Clip(r.Left), controls})
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "environment\tconfiguration\truns\tstep\tIQM\tinterval\tmean\tpublished")
	for _, l := range lines {
		published := ""
		if l.Published != nil {
			published = fmt.Sprintf("%.1f", *l.Published)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%.4g\t%.4g … %.4g\t%.4g\t%s\n", onLine(l.Env), onLine(l.Configuration), l.Runs,
			thousands(int64(l.Step)), l.IQM.Value, l.IQM.Low, l.IQM.High, l.Mean.Value, published)
	}
	for _, c := range controls {
		if c.IQM == nil {
			continue
		}
		name := c.Control
		if c.Configuration != "" {
			name += " of " + c.Configuration
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t\t%.4g\t%.4g … %.4g\t\t\n", onLine(c.Env), onLine(name), c.Runs, c.IQM.Value, c.IQM.Low, c.IQM.High)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	kinds := map[string]int{}
	for _, p := range paths {
		kinds[p[strings.LastIndexByte(p, '.')+1:]]++
	}
	fmt.Fprintf(a.stdout, "\npage        %s\nfigures     %d, each as SVG and PNG; %d tables as CSV\n", paths[0], kinds["svg"], kinds["csv"])
	return nil
}
