package cmd

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/sweep"
)

// sweepFlags are those of stein sweep.
type sweepFlags struct {
	seeds, out, resume string
	only, sets         []string
	jobs, retries      int
	dry                bool
}

func (a *app) sweepCmd() *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use:   "sweep NAME|FILE.yaml",
		Short: "Run a matrix of configurations, settings and seeds, and go on where it stopped",
		Long: `Runs stein train for every configuration of a folder (those that have a published
figure, where any has), or for a matrix from a YAML file, with every seed. Each
trial has a run folder below the sweep's.

The same command goes on after a stop or a crash: trials that are done are left
alone, those begun are resumed from their newest checkpoint. More seeds or
configurations may be added. The first SIGINT or SIGTERM has every trial write a
checkpoint; the second ends all at once. Exit code 1: some trials failed.`,
		Example: `  stein sweep walker2d --seeds 5 --jobs 4
  stein sweep walker2d --seeds 5 --only 'met-*' --set steps=100000
  stein sweep alphas.yaml --out runs/alphas
  stein sweep --resume runs/sweep-walker2d
  stein report runs/sweep-walker2d`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.sweep(c, f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.seeds, "seeds", "", "`NUMBER` of seeds, from 0, or a list such as 3,7; the file's, or 1, where not given")
	flags.StringSliceVar(&f.only, "only", nil, "configurations that match this `PATTERN` alone, such as met-*")
	flags.StringVarP(&f.out, "out", "o", "", "keep the sweep in this `FOLDER`; runs/sweep-NAME where not given")
	flags.StringVar(&f.resume, "resume", "", "go on with the sweep in this `FOLDER`, all that was planned there")
	flags.IntVarP(&f.jobs, "jobs", "j", 0, "trials at a time; one for each two processors where not given")
	flags.IntVar(&f.retries, "retries", 2, "times that a failed trial is tried again")
	flags.BoolVar(&f.dry, "dry-run", false, "list the trials, run none")
	setFlag(cmd, &f.sets)
	return cmd
}

func (a *app) sweep(c *cobra.Command, f sweepFlags, args []string) error {
	dir, trials, err := a.trials(f, args)
	if err != nil {
		return usageError{err}
	}
	if f.dry {
		for _, t := range trials {
			fmt.Fprintln(a.stdout, t.Name)
		}
		return nil
	}
	if f.jobs == 0 {
		f.jobs = max(1, runtime.NumCPU()/2)
	}
	if f.jobs < 0 || f.retries < 0 {
		return usageError{fmt.Errorf("--jobs %d, --retries %d: want 1 or more jobs, 0 or more retries", f.jobs, f.retries)}
	}
	columns := 0
	if isTerminal(a.stderr) {
		columns = width(a.stderr)
	}
	table := newTrialTable(a.stderr, columns, dir)
	statuses, err := sweep.Sweep{Dir: dir, Trials: trials, Jobs: f.jobs, Retries: f.retries, Watch: table.show}.Run(c.Context())
	table.close()
	if err != nil {
		return err
	}
	return a.sweepEnd(dir, statuses)
}

// trials are those that the command line asks for, and their folder.
func (a *app) trials(f sweepFlags, args []string) (dir string, trials []sweep.Trial, err error) {
	if f.resume != "" {
		if len(args) > 0 || len(f.sets) > 0 || len(f.only) > 0 || f.seeds != "" || f.out != "" {
			return "", nil, errors.New("--resume goes on with all that was planned: leave NAME, --seeds, --only, --set and --out out")
		}
		trials, err = sweep.Planned(f.resume)
		return f.resume, trials, err
	}
	if len(args) == 0 {
		return "", nil, errors.New("sweep what? A folder of configurations such as walker2d, a YAML file, or --resume FOLDER")
	}
	name := strings.TrimSuffix(args[0], "/")
	m := sweep.Folder(name)
	if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		if m, err = sweep.ReadMatrix(name); err != nil {
			return "", nil, err
		}
	}
	m.Set = append(m.Set, f.sets...)
	if f.seeds != "" {
		if m.Seeds, err = sweep.ParseSeeds(f.seeds); err != nil {
			return "", nil, fmt.Errorf("--seeds: %w", err)
		}
	}
	if dir = f.out; dir == "" {
		base := strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".yml")
		if base != name { // a file: its folder is not of interest
			base = filepath.Base(base)
		}
		dir = filepath.Join("runs", "sweep-"+strings.NewReplacer("/", "-", "*", "x").Replace(base))
	}
	trials, err = m.Trials(a.catalog, f.only)
	return dir, trials, err
}

// sweepEnd prints what became of the trials.
func (a *app) sweepEnd(dir string, statuses []sweep.Status) error {
	counts := map[sweep.State]int{}
	for _, s := range statuses {
		counts[s.State]++
		if s.State == sweep.Failed {
			fmt.Fprintf(a.stdout, "failed      %s, %d attempts: %s\n            %s\n", s.Name, s.Attempt, s.Why, filepath.Join(dir, "logs", s.Name+".log"))
		}
	}
	fmt.Fprintf(a.stdout, "trials      %d: %d done, %d failed", len(statuses), counts[sweep.Done], counts[sweep.Failed])
	left := len(statuses) - counts[sweep.Done] - counts[sweep.Failed]
	if left > 0 {
		fmt.Fprintf(a.stdout, ", %d to go", left)
	}
	fmt.Fprintf(a.stdout, "\nsweep       %s\n", dir)
	switch {
	case left > 0:
		fmt.Fprintf(a.stdout, "next        stein sweep --resume %s\n", dir)
	case counts[sweep.Done] > 0:
		fmt.Fprintf(a.stdout, "next        stein report %s\n", dir)
	}
	if n := counts[sweep.Failed]; n > 0 {
		return fmt.Errorf("%d of %d trials failed; the same command tries them again", n, len(statuses))
	}
	return nil
}
