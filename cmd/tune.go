package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/study"
	"github.com/stein-rl/stein/study/optuna"
)

// tuneFlags are the flags of stein tune.
type tuneFlags struct {
	out, storage, sampler, pruner string
	samplerOptions, prunerOptions string
	trials, jobs, retries         int
	asJSON                        bool
	place                         placeFlags
}

func (a *app) tuneCmd() *cobra.Command {
	var f tuneFlags
	cmd := &cobra.Command{
		Use:   "tune PLAN.yaml",
		Short: "Tune settings with Optuna",
		Long: `Optuna proposes settings from the plan's search space. Each is tried with every seed of
the plan, as runs of stein train on this machine or on Ray; its value is the mean of the
metric's last value over the seeds. Pruning ends bad trials early.

After a stop or a crash, the same command resumes: the study is in Optuna's storage, and
runs continue from their checkpoints. A larger --trials adds trials.`,
		Example: `  stein tune pendulum.yaml --trials 40 --jobs 2
  stein tune pendulum.yaml --trials 40 --sampler gp --pruner hyperband --pruner-options '{"min_resource": 2000}'
  stein tune walker.yaml --trials 100 --ray head:6379 --jobs 16 --out /shared/tune-walker`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.tune(c.Context(), f, args[0]) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.trials, "trials", 20, "total number of trials")
	flags.StringVarP(&f.out, "out", "o", "", "write the study to this `FOLDER` (default: runs/tune-PLAN)")
	flags.IntVarP(&f.jobs, "jobs", "j", 0, "runs at a time (default: one for two processors)")
	flags.IntVar(&f.retries, "retries", 2, "number of retries of a failed run")
	flags.StringVar(&f.sampler, "sampler", "tpe", "Optuna's sampler: tpe, random, cmaes, gp, qmc, grid")
	flags.StringVar(&f.pruner, "pruner", "median", "Optuna's pruner: none, median, percentile, halving, hyperband")
	flags.StringVar(&f.samplerOptions, "sampler-options", "", `keyword arguments of the sampler as `+"`JSON`"+`, such as {"seed": 1}`)
	flags.StringVar(&f.prunerOptions, "pruner-options", "", "keyword arguments of the pruner as `JSON`")
	flags.StringVar(&f.storage, "study-storage", "", "Optuna's storage as an SQLAlchemy `URL` (default: study.db in the folder)")
	flags.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	f.place.register(flags)
	return cmd
}

func (a *app) tune(ctx context.Context, f tuneFlags, file string) (err error) {
	if err := f.place.check(); err != nil {
		return err
	}
	if f.trials < 1 || f.jobs < 0 || f.retries < 0 {
		return usageError{fmt.Errorf("--trials %d, --jobs %d, --retries %d: want at least 1, 0 and 0", f.trials, f.jobs, f.retries)}
	}
	o, err := a.tuneOptions(f, file)
	if err != nil {
		return usageError{err}
	}
	if f.jobs == 0 {
		f.jobs = max(1, runtime.NumCPU()/2)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(o.Dir, "optuna.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	o.Log = log
	opened, err := optuna.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	on, threads, end, err := a.openPlace(ctx, f.place, o.Dir, f.jobs)
	if err != nil {
		return err
	}
	columns := 0
	if isTerminal(a.stderr) {
		columns = width(a.stderr)
	}
	table := newTrialTable(a.stderr, columns, o.Dir)
	statuses, err := study.Sweep{
		Dir: o.Dir, Source: opened, Jobs: f.jobs, Threads: threads, Retries: f.retries, On: on, Commands: trialCommands{}, Watch: table.show,
	}.Run(ctx)
	table.close()
	if err := errors.Join(err, end()); err != nil {
		return err
	}
	results, err := opened.Results(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	return a.tuneEnd(f, o, file, statuses, results)
}

func (a *app) tuneOptions(f tuneFlags, file string) (o optuna.Options, err error) {
	o = optuna.Options{
		Catalog: a.catalog, Dir: f.out, Trials: f.trials, Storage: f.storage, Sampler: f.sampler, Pruner: f.pruner, Log: io.Discard,
	}
	if o.Plan, err = optuna.ReadPlan(file, a.catalog); err != nil {
		return o, err
	}
	if o.Dir == "" {
		base := filepath.Base(file)
		o.Dir = filepath.Join("runs", "tune-"+strings.TrimSuffix(base, filepath.Ext(base)))
	}
	for _, options := range []struct {
		flag, text string
		to         *map[string]any
	}{{"sampler-options", f.samplerOptions, &o.SamplerOptions}, {"pruner-options", f.prunerOptions, &o.PrunerOptions}} {
		if options.text == "" {
			continue
		}
		if err := settings.FromJSON([]byte(options.text), options.to); err != nil {
			return o, fmt.Errorf("--%s %q: want a JSON object: %w", options.flag, options.text, err)
		}
	}
	return o, nil
}

// maxResults is the number of settings printed.
const maxResults = 10

// tuneEnd prints the best settings, and writes the best as a configuration.
func (a *app) tuneEnd(f tuneFlags, o optuna.Options, file string, statuses []study.Status, results []optuna.Result) error {
	counts := map[string]int{}
	for _, r := range results {
		counts[r.State]++
	}
	best := ""
	if len(results) > 0 && results[0].State == "complete" {
		best = filepath.Join(o.Dir, "best.yaml")
		plan, err := a.catalog.Plan(o.Config, o.Size, append(append([]string{}, o.Set...), results[0].Sets...))
		if err != nil {
			return err
		}
		head := fmt.Sprintf("# Trial %d of %s: %s %g\n", results[0].Number, filepath.Base(file), o.Metric, *results[0].Value)
		if err := os.WriteFile(best, append([]byte(head), plan.Text...), 0o644); err != nil {
			return err
		}
	}
	if f.asJSON {
		return a.printJSON(struct {
			Folder string          `json:"folder"`
			Best   string          `json:"best,omitempty"`
			Trials []optuna.Result `json:"trials"`
		}{o.Dir, best, results})
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "trial\t%s\tsettings\n", o.Metric)
	for _, r := range results[:min(len(results), maxResults)] {
		if r.State == "complete" {
			fmt.Fprintf(w, "%d\t%.4g\t%s\n", r.Number, *r.Value, strings.Join(r.Sets, " "))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\ntrials      %d: %d complete, %d pruned, %d failed", len(results), counts["complete"], counts["pruned"], counts["fail"])
	if counts["running"] > 0 {
		fmt.Fprintf(a.stdout, ", %d running", counts["running"])
	}
	fmt.Fprintf(a.stdout, "\nstudy       %s\n", o.Dir)
	if best != "" {
		train := "stein train"
		if kind, err := experiments.KindOf(best); err == nil && kind == experiments.Images {
			train = "stein ebm train"
		}
		fmt.Fprintf(a.stdout, "best        %s\nnext        %s --config %s\n", best, train, best)
	}
	for _, s := range statuses {
		if s.State == study.Failed {
			fmt.Fprintf(a.stdout, "failed      %s: %s\n", s.Name, s.Why)
		}
	}
	if counts["complete"] == 0 && counts["fail"] > 0 {
		return errors.New("every trial failed")
	}
	return nil
}
