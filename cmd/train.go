package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/study/ray"
)

// trainFlags are the flags of stein train.
type trainFlags struct {
	config, resume, runDir, runs string
	metrics                      string // address for Prometheus; empty: none
	sets                         []string
	asJSON                       bool
}

// A shortFlag is a shorthand for a --set.
type shortFlag struct{ name, key, value, help string }

// shortFlags are the shorthands of stein train.
var shortFlags = []shortFlag{
	{"seed", "seed", "int", "random seed; drawn and printed if omitted"},
	{"steps", "steps", "int", "total environment steps"},
	{"env", "env.id", "text", "Gymnasium id, or package:id to import a package first"},
	{"envs", "env.endpoints", "list", "tcp://host:port of running workers, separated by commas"},
	{"env-key", "env.key", "text", "file of the client's CURVE keys, for workers on other machines"},
	{"env-hosts", "env.hosts", "text", "Ray cluster to run the simulator processes on: ray://host:port, host:port, auto or local"},
	{"workers", "env.workers", "int", "simulator processes"},
	{"copies", "env.copies", "int", "number of copies of the environment per process"},
	{"eval-freq", "eval.every", "int", "steps between evaluations; 0: never, not even at the end"},
	{"eval-episodes", "eval.episodes", "int", "number of episodes per evaluation"},
	{"save-freq", "checkpoint.every", "int", "steps between checkpoints; 0: only at the end"},
	{"keep", "checkpoint.keep", "int", "number of newest checkpoints to keep, besides the best"},
	{"log-freq", "log.every", "int", "steps between records of metrics"},
	{"backend", "engine.backend", "text", "numeric backend, such as xla:cpu, xla:cuda or go:ops_sequential"},
	{"threads", "engine.threads", "int", "number of compute threads; 0: all processors"},
}

func (a *app) trainCmd() *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train an agent, or resume a run",
		Long: `Trains an agent from a configuration. The run folder holds the resolved configuration,
metrics (CSV, JSON, TensorBoard), checkpoints and the log.

Flags are short for --set of a key; --set overrides the configuration. The first SIGINT
or SIGTERM writes a checkpoint and exits with code 0; the second ends the process at
once. --resume continues from the newest intact checkpoint.`,
		Example: `  stein train --config walker2d/sac --seed 0 --steps 100000
  stein train --config pendulum/sac --set agent.gamma=0.98 --set 'policy={hidden: [64, 64]}'
  stein train --config walker2d/sac --env my_package:MyEnv-v0 --run-dir runs/mine
  stein train --config walker2d/sac --metrics :9100
  stein train --config walker2d/sac --envs tcp://10.0.0.2:5600 --env-key client.key
  stein train --config walker2d/sac --env-hosts ray://head:10001 --workers 4
  stein train --resume runs/walker2d-sac-0-20261124-120000 --steps 200000`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.train(c, f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "configuration: a name (`NAME`, see stein configs) or a file ending in .yaml")
	flags.StringVar(&f.resume, "resume", "", "continue the run in this `FOLDER`")
	flags.StringVar(&f.runDir, "run-dir", "", "write the run to this `FOLDER`, which must be new or empty")
	flags.StringVar(&f.runs, "runs", "runs", "parent `FOLDER` of the run's folder")
	flags.StringVar(&f.metrics, "metrics", "", metricsHelp)
	flags.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	flags.Bool("no-save-replay", false, "save checkpoints without the replay memory; short for --set checkpoint.replay=false")
	addShortFlags(flags, shortFlags)
	setFlag(cmd, &f.sets)
	if err := cmd.RegisterFlagCompletionFunc("config", completeConfigs); err != nil {
		panic(err)
	}
	return cmd
}

// check reports flags that contradict each other.
func (f trainFlags) check() error {
	switch {
	case f.config == "" && f.resume == "":
		return usageError{errors.New("want --config NAME (see stein configs) or --resume FOLDER")}
	case f.config != "" && f.resume != "":
		return usageError{errors.New("--resume uses the configuration of its run: omit --config")}
	case f.runDir != "" && f.resume != "":
		return usageError{errors.New("--resume uses the folder of its run: omit --run-dir")}
	}
	return nil
}

func addShortFlags(flags *pflag.FlagSet, short []shortFlag) {
	for _, s := range short {
		help := fmt.Sprintf("%s; short for --set %s=", s.help, s.key)
		switch s.value {
		case "int":
			flags.Var(new(written), s.name, help)
		default:
			flags.String(s.name, "", help)
		}
	}
}

// written is a number as the user wrote it. The setting parses it, so that a flag accepts
// the same values as --set and files, such as 1e6 or a 64-bit seed.
type written string

func (w *written) String() string     { return string(*w) }
func (w *written) Set(s string) error { *w = written(s); return nil }
func (w *written) Type() string       { return "int" }

// assignments returns those of the given short flags, then those of --set.
func (f trainFlags) assignments(c *cobra.Command) []string {
	all := shortAssignments(c, shortFlags)
	if c.Flags().Changed("no-save-replay") {
		all = append(all, "checkpoint.replay=false")
	}
	return append(all, f.sets...)
}

// shortAssignments returns the assignments of the given short flags.
func shortAssignments(c *cobra.Command, short []shortFlag) []string {
	var all []string
	for _, s := range short {
		flag := c.Flags().Lookup(s.name)
		if !flag.Changed {
			continue
		}
		value := flag.Value.String()
		switch s.value {
		case "text":
			value = strconv.Quote(value)
		case "list":
			var items []string
			for item := range strings.SplitSeq(value, ",") {
				items = append(items, strconv.Quote(strings.TrimSpace(item)))
			}
			value = "[" + strings.Join(items, ", ") + "]"
		}
		all = append(all, s.key+"="+value)
	}
	return all
}

func (a *app) train(c *cobra.Command, f trainFlags) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	cfg, drawn, err := a.trainConfig(f, f.assignments(c))
	if err != nil {
		return usageError{err}
	}
	var res experiments.Result
	var folder *runs.Folder
	var video string
	err = a.watched(c.Context(), f, cfg, func(s session) (err error) {
		folder = s.folder
		if drawn {
			s.log.Info("seed drawn", "seed", uint64(*cfg.Seed))
		}
		training := experiments.Training{Config: cfg, Folder: s.folder, Resume: f.resume != "", Command: os.Args, Log: s.log, Watch: s.bar}
		if cfg.Env.Hosts != "" {
			hosts, stop, openErr := openHosts(c.Context(), cfg.Env, s.folder.Dir)
			if openErr != nil {
				return openErr
			}
			defer func() { err = errors.Join(err, stop()) }()
			training.Config.Env.PlaceOn(hosts)
		}
		if f.metrics != "" {
			training.Prometheus = experiments.NewPrometheus(s.folder.Info.ID)
			var stop func() error
			if stop, err = answerPrometheus(f.metrics, training.Prometheus.Handler(), s.log); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, stop()) }()
		}
		res, err = training.Train(c.Context())
		if err == nil && cfg.Eval.Video && !res.Interrupted && !res.AlreadyDone {
			video = a.film(c.Context(), s, res)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.reportTraining(folder, res, video, f.asJSON)
}

// openHosts joins the Ray cluster that runs simulators. Ray's output goes to a file in
// the run folder.
func openHosts(ctx context.Context, env experiments.Env, dir string) (envbridge.Host, func() error, error) {
	log, err := os.OpenFile(filepath.Join(dir, "ray.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	hosts, err := ray.OpenHosts(ctx, ray.Cluster{Address: env.Hosts, Env: env.RuntimeEnv, Log: log}, 1)
	if err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	return hosts, func() error { return errors.Join(hosts.Close(), log.Close()) }, nil
}

// A session is a training about to start in its folder.
type session struct {
	folder *runs.Folder
	log    *slog.Logger
	bar    *progress
}

// watched opens the folder, its log and a progress bar for a training of any kind.
func (a *app) watched(ctx context.Context, f trainFlags, cfg runs.Settings, train func(session) error) (err error) {
	folder, err := openFolder(f, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	file, err := folder.OpenLog()
	if err != nil {
		return err
	}
	defer file.Close()

	columns := 0
	if isTerminal(a.stderr) {
		columns = width(a.stderr)
	}
	bar := newProgress(a.stderr, columns)
	bar.log = a.runLog(bar, columns > 0, file, folder.Info.ID)
	a.tells.Store(true)
	told := context.AfterFunc(ctx, func() {
		if bar.begun() {
			bar.log.Warn("stopping with a checkpoint after the step in progress; a second signal ends at once")
			return
		}
		bar.log.Warn("stopping when the compilation in progress is done; a second signal ends at once")
	})
	defer told()
	err = train(session{folder, bar.log, bar})
	bar.stop()
	return err
}

// trainConfig resolves the configuration of a new or resumed run.
func (a *app) trainConfig(f trainFlags, sets []string) (cfg experiments.Config, drawn bool, err error) {
	if f.resume != "" {
		info, err := runs.ReadInfo(f.resume)
		if err != nil {
			return cfg, false, err
		}
		cfg, err = a.catalog.Reread(f.resume, sets)
		if err == nil && (cfg.Seed == nil || *cfg.Seed != info.Seed) {
			err = fmt.Errorf("seed: a resumed run keeps its seed, %d: omit --seed", info.Seed)
		}
		return cfg, false, err
	}
	cfg, err = a.catalog.Resolve(f.config, sets)
	if err != nil || cfg.Seed != nil {
		return cfg, false, err
	}
	cfg.Seed, drawn, err = f.drawSeed()
	return cfg, drawn, err
}

// drawSeed draws a seed. If the folder named by the user has a run that stopped before
// its first checkpoint, its seed is used, so that the same command starts the same run.
func (f trainFlags) drawSeed() (*runs.Seed, bool, error) {
	if info, ok := runs.Unstarted(f.runDir); ok && f.runDir != "" {
		return &info.Seed, false, nil
	}
	seed, err := runs.DrawSeed()
	return &seed, true, err
}

func openFolder(f trainFlags, cfg runs.Settings) (*runs.Folder, error) {
	if f.resume != "" {
		return runs.Open(f.resume)
	}
	return runs.Create(f.runDir, f.runs, f.config, cfg)
}

// runLog logs to the user, above the bar if there is one, and to the run's file.
func (a *app) runLog(bar *progress, terminal bool, file io.Writer, id string) *slog.Logger {
	toFile := slog.NewJSONHandler(file, nil).WithAttrs([]slog.Attr{slog.String("run", id)})
	return slog.New(slog.NewMultiHandler(a.logs.ofRun(bar, terminal, id), toFile))
}

// film records an episode of the best checkpoint, or of the last without evaluations, in
// the run's folder and returns the video's path. A training does not fail for its video:
// the reason is logged.
func (a *app) film(ctx context.Context, s session, res experiments.Result) string {
	which, path := "last", filepath.Join(s.folder.Dir, "video.mp4")
	if res.Best != nil {
		which = "best"
	}
	s.log.Info("filming an episode", "checkpoint", which)
	log := slog.New(a.logs.handler(s.bar, s.bar.columns > 0)) // Evaluate adds the run itself
	_, err := a.catalog.Evaluate(ctx, experiments.Exam{Dir: s.folder.Dir, Checkpoint: which, Episodes: 1, Video: path, Log: log})
	if err != nil {
		s.log.Warn("no video", "error", err.Error())
		return ""
	}
	return path
}

// trainingReport is the output of --json.
type trainingReport struct {
	Folder      string      `json:"folder"`
	Seed        uint64      `json:"seed"`
	Step        int64       `json:"step"`
	Interrupted bool        `json:"interrupted"`
	AlreadyDone bool        `json:"already_done,omitempty"` // all steps were already done
	Checkpoint  string      `json:"checkpoint"`
	Best        *float64    `json:"best_mean_reward,omitempty"`
	StepsPerS   float64     `json:"steps_per_s"`
	Curve       string      `json:"curve,omitempty"`
	Video       string      `json:"video,omitempty"`
	Eval        *evalReport `json:"eval,omitempty"`
}

func (a *app) reportTraining(folder *runs.Folder, res experiments.Result, video string, asJSON bool) error {
	report := trainingReport{
		Folder: folder.Dir, Seed: uint64(folder.Info.Seed), Step: res.Step, Interrupted: res.Interrupted,
		Checkpoint: res.Checkpoint, Video: video, AlreadyDone: res.AlreadyDone, Best: res.Best, StepsPerS: res.Last["time/fps"],
	}
	curve, curveErr := experiments.DrawCurve(folder.Dir, folder.Info.ID)
	if curveErr == nil {
		report.Curve = curve
	}
	if res.Final != nil {
		e := summarize(*res.Final)
		report.Eval = &e
	}
	if asJSON {
		return a.printJSON(report)
	}
	if res.AlreadyDone {
		fmt.Fprintf(a.stdout, "%s already has its %s steps; set a larger --steps to continue\n", folder.Dir, thousands(res.Step))
	}
	if res.Interrupted {
		fmt.Fprintf(a.stdout, "stopped at step %s; continue with: stein train --resume %s\n", thousands(res.Step), folder.Dir)
	}
	if report.Eval != nil {
		fmt.Fprintf(a.stdout, "\nevaluation after %s steps, greedy actions\n", thousands(res.Step))
		a.printEval(*res.Final)
	}
	fmt.Fprintln(a.stdout)
	if m := res.Last; m["time/fps"] > 0 {
		fmt.Fprintf(a.stdout, "time        %.0f steps/s: %.0f %% updating, %.0f %% waiting for environments, %.0f %% acting, %.0f %% sampling\n",
			m["time/fps"], 100*m["time/update"], 100*m["time/env_wait"], 100*m["time/act"], 100*m["time/sample"])
	}
	fmt.Fprintf(a.stdout, "run         %s\ncheckpoint  %s\n", folder.Dir, res.Checkpoint)
	if curveErr == nil {
		fmt.Fprintf(a.stdout, "curve       %s\n", curve)
	}
	if video != "" {
		fmt.Fprintf(a.stdout, "video       %s\n", video)
	}
	if !res.Interrupted {
		fmt.Fprintf(a.stdout, "next        stein eval %s --video walk.mp4\n", folder.Dir)
	}
	return nil
}

// evalReport is an evaluation in JSON.
type evalReport struct {
	Mean       float64   `json:"mean"`
	Std        float64   `json:"std"`
	IQM        float64   `json:"iqm"`
	MeanLength float64   `json:"mean_length"`
	Returns    []float64 `json:"returns"`
	Lengths    []int64   `json:"lengths"`
}

func summarize(e agents.Evaluation) evalReport {
	return evalReport{e.Mean(), e.Std(), e.IQM(), e.MeanLength(), e.Returns, e.Lengths}
}

// printEval prints a table of episodes and their statistics.
func (a *app) printEval(e agents.Evaluation) {
	fmt.Fprintf(a.stdout, "%8s %10s %8s\n", "episode", "return", "length")
	for i, sum := range e.Returns {
		fmt.Fprintf(a.stdout, "%8d %10.2f %8d\n", i, sum, e.Lengths[i])
	}
	fmt.Fprintf(a.stdout, "%8s %10.2f %8.1f\n%8s %10.2f\n%8s %10.2f\n", "mean", e.Mean(), e.MeanLength(), "std", e.Std(), "IQM", e.IQM())
}
