package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/study"
	"github.com/stein-rl/stein/study/ray"
)

// sweepFlags are the flags of stein sweep.
type sweepFlags struct {
	seeds, out, resume string
	size               string // of image models
	only, sets         []string
	jobs, retries      int
	dry                bool
	place              placeFlags
}

// placeFlags select where trials run.
type placeFlags struct {
	ray, storage, runtimeEnv string
	cpus, gpus               float64
}

func (p *placeFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&p.ray, "ray", "", "run trials as tasks of the Ray cluster at this `ADDRESS`: host:port, auto, ray://host:port; or local")
	flags.StringVar(&p.storage, "storage", "", "with --ray: store runs at this fsspec `URL` if the nodes share no folder")
	flags.Float64Var(&p.cpus, "cpus", 0, "with --ray: processors of a trial (default: its threads)")
	flags.Float64Var(&p.gpus, "gpus", 0, "with --ray: GPUs of a trial")
	flags.StringVar(&p.runtimeEnv, "runtime-env", "", "with --ray: a YAML `FILE` with Ray's runtime_env, such as pip packages to install on the nodes")
}

// check reports flags that contradict each other.
func (p placeFlags) check() error {
	if p.cpus < 0 || p.gpus < 0 {
		return usageError{fmt.Errorf("--cpus %g, --gpus %g: want at least 0", p.cpus, p.gpus)}
	}
	if p.ray == "" && (p.storage != "" || p.cpus > 0 || p.gpus > 0 || p.runtimeEnv != "") {
		return usageError{errors.New("--storage, --cpus, --gpus and --runtime-env need --ray")}
	}
	return nil
}

// openPlace opens the executor of a sweep's trials, and returns a function that closes
// it.
func (a *app) openPlace(ctx context.Context, p placeFlags, dir string, jobs int) (on study.Executor, threads int, end func() error, err error) {
	if p.ray == "" {
		on, err = study.Here(dir)
		return on, 0, func() error { return nil }, err
	}
	env, err := p.environment()
	if err != nil {
		return nil, 0, nil, usageError{err}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, 0, nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "ray.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, 0, nil, err
	}
	trials, err := ray.OpenTrials(ctx, ray.TrialsOptions{
		Cluster: ray.Cluster{Address: p.ray, Env: env, Log: log},
		Dir:     dir, Storage: p.storage, CPUs: p.cpus, GPUs: p.gpus, Jobs: jobs, Config: a.configText,
	})
	if err != nil {
		return nil, 0, nil, errors.Join(err, log.Close())
	}
	return trials, max(1, int(p.cpus)), func() error { return errors.Join(trials.Close(), log.Close()) }, nil
}

func (p placeFlags) environment() (map[string]any, error) {
	if p.runtimeEnv == "" {
		return nil, nil
	}
	return ray.ReadRuntimeEnv(p.runtimeEnv)
}

// configText returns a configuration file merged with all that it extends.
func (a *app) configText(file string) ([]byte, error) {
	plan, err := a.catalog.Plan(file, "", nil)
	return plan.Text, err
}

// trialCommands build the command lines of a sweep's trials.
type trialCommands struct{}

var _ study.Commands = trialCommands{}

// Begin trains a trial from the start.
func (trialCommands) Begin(t study.Trial) []string {
	args := append(trainOf(t), "--config", study.ConfigFile, "--run-dir", study.RunFolder,
		"--seed", strconv.FormatUint(t.Seed, 10), "--threads", strconv.Itoa(t.Threads))
	if t.Size != "" {
		args = append(args, "--size", t.Size)
	}
	for _, set := range t.Sets {
		args = append(args, "--set", set)
	}
	return args
}

// Resume resumes a trial.
func (trialCommands) Resume(t study.Trial) []string {
	return append(trainOf(t), "--resume", study.RunFolder)
}

func trainOf(t study.Trial) []string {
	args := []string{"--log-level", "warn", "train", "--json"}
	if t.Kind == string(experiments.Images) {
		args = slices.Insert(args, 2, "ebm")
	}
	return args
}

func (a *app) sweepCmd() *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use:   "sweep NAME…|FILE.yaml",
		Short: "Run or resume a matrix of configurations, settings and seeds",
		Long: `Trains configurations, every one of a folder (only published ones, if it has any) or
those of a matrix in a YAML file, with every seed: agents with stein train, image
models with stein ebm train. Each trial has a run folder below the sweep's folder.

After a stop or a crash, the same command resumes: finished trials are kept, unfinished
ones continue from their newest checkpoint. Seeds and configurations can be added. The
first SIGINT or SIGTERM makes every trial write a checkpoint; the second ends all at
once. Exit code 1: some trials failed.`,
		Example: `  stein sweep walker2d --seeds 5 --jobs 4
  stein sweep walker2d --seeds 5 --only 'met-*' --set steps=100000
  stein sweep hopper/sac-fast ant/sac-fast --seeds 3 --out runs/bodies
  stein sweep alphas.yaml --out runs/alphas
  stein sweep ebm --seeds 3 --size paper --set data.download=true
  stein sweep --resume runs/sweep-walker2d
  stein sweep walker2d --seeds 5 --ray head:6379 --out /shared/walker2d --cpus 2
  stein sweep walker2d --seeds 5 --ray ray://head:10001 --storage s3://bucket/walker2d
  stein report runs/sweep-walker2d`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error { return a.sweep(c, f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.seeds, "seeds", "", "`NUMBER` of seeds, from 0, or a list such as 3,7 (default: from the file, or 1)")
	flags.StringSliceVar(&f.only, "only", nil, "only configurations that match this `PATTERN`, such as met-*")
	flags.StringVarP(&f.out, "out", "o", "", "write the sweep to this `FOLDER` (default: runs/sweep-NAME)")
	flags.StringVar(&f.resume, "resume", "", "resume the sweep in this `FOLDER` as it was planned")
	flags.StringVar(&f.size, "size", "", "image models: tiny or small (two processors) or paper (a GPU) (default: from the configurations)")
	flags.IntVarP(&f.jobs, "jobs", "j", 0, "trials at a time (default: one for two processors; with --ray: all)")
	flags.IntVar(&f.retries, "retries", 2, "number of retries of a failed trial")
	flags.BoolVar(&f.dry, "dry-run", false, "list the trials without running them")
	f.place.register(flags)
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
	if err := f.place.check(); err != nil {
		return err
	}
	switch {
	case f.jobs == 0 && f.place.ray != "" && f.place.ray != "local":
		f.jobs = len(trials)
	case f.jobs == 0:
		f.jobs = max(1, runtime.NumCPU()/2)
	}
	if f.jobs < 0 || f.retries < 0 {
		return usageError{fmt.Errorf("--jobs %d, --retries %d: want at least 1 job and 0 retries", f.jobs, f.retries)}
	}
	on, threads, end, err := a.openPlace(c.Context(), f.place, dir, f.jobs)
	if err != nil {
		return err
	}
	columns := 0
	if isTerminal(a.stderr) {
		columns = width(a.stderr)
	}
	table := newTrialTable(a.stderr, columns, dir)
	statuses, err := study.Sweep{
		Dir: dir, Trials: trials, Jobs: f.jobs, Threads: threads, Retries: f.retries, On: on, Commands: trialCommands{}, Watch: table.show,
	}.Run(c.Context())
	table.close()
	if err := errors.Join(err, end()); err != nil {
		return err
	}
	return a.sweepEnd(dir, statuses)
}

// trials returns the trials of the command line, and their folder.
func (a *app) trials(f sweepFlags, args []string) (dir string, trials []study.Trial, err error) {
	if f.resume != "" {
		if len(args) > 0 || len(f.sets) > 0 || len(f.only) > 0 || f.seeds != "" || f.out != "" || f.size != "" {
			return "", nil, errors.New("--resume continues the sweep as planned: omit NAME, --seeds, --only, --size, --set and --out")
		}
		trials, err = study.Planned(f.resume)
		return f.resume, trials, err
	}
	if len(args) == 0 {
		return "", nil, errors.New("want a folder of configurations such as walker2d, a YAML file, or --resume FOLDER")
	}
	m, base, err := matrixOf(args)
	if err != nil {
		return "", nil, err
	}
	m.Set = append(m.Set, f.sets...)
	if f.size != "" {
		m.Size = f.size
	}
	if f.seeds != "" {
		if m.Seeds, err = study.ParseSeeds(f.seeds); err != nil {
			return "", nil, fmt.Errorf("--seeds: %w", err)
		}
	}
	if dir = f.out; dir == "" {
		dir = filepath.Join("runs", "sweep-"+strings.NewReplacer("/", "-", "*", "x").Replace(base))
	}
	trials, err = m.Trials(a.catalog, f.only)
	return dir, trials, err
}

// matrixOf returns the matrix of the arguments, and its name.
func matrixOf(args []string) (m study.Matrix, name string, err error) {
	if ext := filepath.Ext(args[0]); len(args) == 1 && (ext == ".yaml" || ext == ".yml") {
		m, err = study.ReadMatrix(args[0])
		return m, strings.TrimSuffix(filepath.Base(args[0]), ext), err
	}
	var names []string
	for _, arg := range args {
		if ext := filepath.Ext(arg); ext == ".yaml" || ext == ".yml" {
			return m, "", fmt.Errorf("%s beside other arguments: want names alone, or one file, whose configs: may list names and files", arg)
		}
		arg = strings.TrimSuffix(arg, "/")
		names = append(names, arg)
		for _, config := range study.Folder(arg).Configs {
			if !slices.Contains(m.Configs, config) {
				m.Configs = append(m.Configs, config)
			}
		}
	}
	return m, strings.Join(names, "+"), nil
}

// sweepEnd prints the outcome of the trials.
func (a *app) sweepEnd(dir string, statuses []study.Status) error {
	counts := map[study.State]int{}
	for _, s := range statuses {
		counts[s.State]++
		if s.State == study.Failed {
			attempts := fmt.Sprintf("%d attempts", s.Attempt)
			if s.Attempt == 1 {
				attempts = "1 attempt"
			}
			fmt.Fprintf(a.stdout, "failed      %s, %s: %s\n            %s\n", s.Name, attempts, s.Why, filepath.Join(dir, "logs", s.Name+".log"))
		}
	}
	fmt.Fprintf(a.stdout, "trials      %d: %d done, %d failed", len(statuses), counts[study.Done], counts[study.Failed])
	left := len(statuses) - counts[study.Done] - counts[study.Failed]
	if left > 0 {
		fmt.Fprintf(a.stdout, ", %d to go", left)
	}
	fmt.Fprintf(a.stdout, "\nsweep       %s\n", dir)
	switch {
	case left > 0:
		fmt.Fprintf(a.stdout, "next        stein sweep --resume %s\n", dir)
	case counts[study.Done] > 0:
		fmt.Fprintf(a.stdout, "next        stein report %s\n", dir)
	}
	if n := counts[study.Failed]; n > 0 {
		return fmt.Errorf("%d of %d trials failed; run the same command to retry them", n, len(statuses))
	}
	return nil
}
