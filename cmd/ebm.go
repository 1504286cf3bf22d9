package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/runs"
)

func (a *app) ebmCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ebm",
		Short: "Train energy-based models of images, and sample from, measure and use them",
		Example: `  stein ebm train --config met-sigma-eps --data fashion-mnist
  stein ebm sample runs/ebm-met-sigma-eps-0-20261125-120000 --n 64 --out grid.png`,
		Args: knownCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(a.ebmTrainCmd(), a.ebmSampleCmd(), a.ebmFIDCmd(), a.ebmScoreCmd(), a.ebmRestoreCmd())
	return cmd
}

// ebmTrainFlags holds the flags of stein ebm train.
type ebmTrainFlags struct {
	trainFlags
	size string
}

// ebmShortFlags are shorthands for --set.
var ebmShortFlags = []shortFlag{
	{"seed", "seed", "int", "random seed; drawn and printed if omitted"},
	{"updates", "updates", "int", "total updates"},
	{"data", "data.name", "text", "data set: fashion-mnist, mnist, cifar10 or folder"},
	{"data-path", "data.path", "text", "folder or archive of the images; empty: the folders of downloads and system packages"},
	{"data-size", "data.size", "int", "side length that images are scaled to; 0: not scaled"},
	{"eval-freq", "eval.every", "int", "updates between evaluations; 0: only at the end"},
	{"save-freq", "checkpoint.every", "int", "updates between checkpoints; 0: only at the end"},
	{"keep", "checkpoint.keep", "int", "number of newest checkpoints to keep, besides the best"},
	{"log-freq", "log.every", "int", "updates between records of metrics"},
	{"backend", "engine.backend", "text", "numeric backend, such as xla:cpu or xla:cuda"},
	{"threads", "engine.threads", "int", "number of compute threads; 0: all processors"},
}

func (a *app) ebmTrainCmd() *cobra.Command {
	var f ebmTrainFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train an energy-based model of images, or resume a run",
		Long: `Trains an image model from a configuration. The run folder holds the resolved
configuration, metrics (CSV, JSON, TensorBoard), grids of samples, checkpoints and
the log.

The first SIGINT or SIGTERM writes a checkpoint and exits with code 0; the second ends
the process at once. If training diverges, the exit code is 0 too: result.json gives
the update and the reason.`,
		Example: `  stein ebm train --config langevin --data fashion-mnist
  stein ebm train --config met-sigma-eps --data cifar10 --data-path cifar-10-binary.tar.gz --data-size 16
  stein ebm train --config met-lc --size paper --set data.download=true
  stein ebm train --resume runs/ebm-langevin-0-20261125-120000 --updates 5000`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.trainImages(c, f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "configuration: a name (`NAME`, see stein configs; ebm/ may be left out) or a file ending in .yaml")
	flags.StringVar(&f.size, "size", "", "tiny or small (two processors), or paper (a GPU); empty: the configuration's")
	flags.StringVar(&f.resume, "resume", "", "continue the run in this `FOLDER`")
	flags.StringVar(&f.runDir, "run-dir", "", "write the run to this `FOLDER`, which must be new or empty")
	flags.StringVar(&f.runs, "runs", "runs", "parent `FOLDER` of the run's folder")
	flags.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	addShortFlags(flags, ebmShortFlags)
	setFlag(cmd, &f.sets)
	complete := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return experiments.ImageNames(), cobra.ShellCompDirectiveDefault
	}
	if err := cmd.RegisterFlagCompletionFunc("config", complete); err != nil {
		panic(err)
	}
	return cmd
}

func (a *app) trainImages(c *cobra.Command, f ebmTrainFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.size != "" && f.size != "tiny" && f.size != "small" && f.size != "paper" {
		return usageError{fmt.Errorf("--size %s: want tiny, small or paper", f.size)}
	}
	if f.size != "" && f.resume != "" {
		return usageError{errors.New("--resume uses the configuration of the run: omit --size")}
	}
	cfg, drawn, err := imageConfig(f, append(shortAssignments(c, ebmShortFlags), f.sets...))
	if err != nil {
		return usageError{err}
	}
	f.config = experiments.ImageName(f.config) // used in the name of the run folder
	var res experiments.ImageResult
	var dir string
	err = a.watched(c.Context(), f.trainFlags, cfg, func(s session) error {
		if drawn {
			s.log.Info("seed drawn", "seed", uint64(*cfg.Seed))
		}
		dir = s.folder.Dir
		s.bar.unit = "updates"
		s.bar.follows = []followed{{"gap", "energy/gap", false}, {"fd_e0", "eval/fd_e0", true}, {"fd_e2", "eval/fd_e2", true}, {"fid", "eval/fid", true}}
		var err error
		res, err = experiments.ImageTraining{
			Config: cfg, Folder: s.folder, Resume: f.resume != "", Command: os.Args, Log: s.log, Watch: s.bar,
		}.Train(c.Context())
		return err
	})
	if err != nil {
		return err
	}
	if f.asJSON {
		return a.printJSON(struct {
			Folder string `json:"folder"`
			Seed   uint64 `json:"seed"`
			experiments.ImageResult
		}{dir, uint64(*cfg.Seed), res})
	}
	a.printImageResult(dir, res)
	return nil
}

func imageConfig(f ebmTrainFlags, sets []string) (cfg experiments.ImageConfig, drawn bool, err error) {
	if f.resume != "" {
		info, err := runs.ReadInfo(f.resume)
		if err != nil {
			return cfg, false, err
		}
		cfg, err = experiments.RereadImages(f.resume, sets)
		if err == nil && (cfg.Seed == nil || *cfg.Seed != info.Seed) {
			err = fmt.Errorf("seed: a resumed run keeps its seed, %d: omit --seed", info.Seed)
		}
		return cfg, false, err
	}
	cfg, err = experiments.ResolveImages(f.config, f.size, sets)
	if err != nil || cfg.Seed != nil {
		return cfg, false, err
	}
	cfg.Seed, drawn, err = f.drawSeed()
	return cfg, drawn, err
}

func (a *app) printImageResult(dir string, res experiments.ImageResult) {
	switch {
	case res.AlreadyDone:
		fmt.Fprintf(a.stdout, "%s already has its %s updates; set a larger --updates to continue\n", dir, thousands(res.Update))
	case res.Interrupted:
		fmt.Fprintf(a.stdout, "stopped at update %s; continue with: stein ebm train --resume %s\n", thousands(res.Update), dir)
	case res.Diverged != nil:
		fmt.Fprintf(a.stdout, "diverged    update %s: %s\n", thousands(res.Diverged.Update), res.Diverged.Cause)
	}
	if s := res.Score; s != nil {
		fmt.Fprintf(a.stdout, "%-11s %.2f of %d samples against %d images; KID %.4f\n", s.Metric, s.Frechet, s.N, s.Reference, s.KID)
	}
	for _, c := range res.Controls {
		fmt.Fprintf(a.stdout, "%-11s %.2f; KID %.4f: %s\n", "", c.Frechet, c.KID, c.Name)
	}
	fmt.Fprintf(a.stdout, "run         %s\ncheckpoint  %s\n", dir, res.Checkpoint)
	if !res.Interrupted {
		fmt.Fprintf(a.stdout, "pictures    %s\nnext        stein ebm sample %s --n 64 --out grid.png\n", experiments.GalleryOf(dir), dir)
	}
}

func (a *app) ebmSampleCmd() *cobra.Command {
	var s experiments.ImageSampling
	var out string
	var columns, zoom int
	var seed uint64
	cmd := &cobra.Command{
		Use:   "sample RUN",
		Short: "Draw samples from a run's model as a grid of images",
		Example: `  stein ebm sample runs/ebm-langevin-0-20261125-120000 --n 64 --out grid.png
  stein ebm sample runs/ebm-langevin-0-20261125-120000 --checkpoint best --set model.sampler.steps=100`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s.Dir, s.Log = args[0], slog.New(a.logs.quieter(a.stderr, isTerminal(a.stderr)))
			if c.Flags().Changed("seed") {
				given := runs.Seed(seed)
				s.Seed = &given
			}
			return a.sampleImages(c.Context(), s, out, columns, zoom)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&s.N, "n", 64, "number of images")
	flags.StringVarP(&out, "out", "o", "samples.png", "PNG `FILE` of the grid")
	flags.StringVar(&s.Checkpoint, "checkpoint", "last", "last, best, or an update")
	flags.BoolVar(&s.Start, "start", false, "draw from the start distribution, with the same random numbers and no step")
	flags.IntVar(&columns, "columns", 8, "images in a row of the grid")
	flags.IntVar(&zoom, "zoom", 2, "magnification of each image in the grid")
	flags.Uint64Var(&seed, "seed", 0, "random seed of the samples (default: that of the run)")
	setFlag(cmd, &s.Sets)
	return cmd
}

func (a *app) sampleImages(ctx context.Context, s experiments.ImageSampling, out string, columns, zoom int) error {
	if s.N < 1 || columns < 1 || zoom < 1 {
		return usageError{fmt.Errorf("--n %d --columns %d --zoom %d: want 1 or more of each", s.N, columns, zoom)}
	}
	drawn, err := s.Draw(ctx)
	if err != nil {
		return err
	}
	if err := drawn.WriteGrid(out, columns, zoom); err != nil {
		return err
	}
	what := "samples"
	if s.Start {
		what = "samples of the start distribution"
	}
	fmt.Fprintf(a.stdout, "%d %s of update %s in %s\n", s.N, what, thousands(drawn.Update), out)
	return nil
}
