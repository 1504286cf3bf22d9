package cmd

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/regular"
	"github.com/stein-rl/stein/interop/sb3"
	"github.com/stein-rl/stein/runs"
)

// importFlags are the flags of stein import.
type importFlags struct {
	config, env, runDir, runs string
	sets                      []string
}

func (a *app) importCmd() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import MODEL.zip",
		Short: "Import a SAC model of Stable-Baselines3 as a run",
		Long: `Converts a model that Stable-Baselines3's SAC.save wrote into a run folder: weights of
policy, critics and targets, the temperature, and the settings that both programs have.
The run can be evaluated, served, exported and trained further like any other.

The file does not contain the environment: it comes from the configuration. Network
sizes and activation come from the model. Optimiser state and replay memory are not
imported: further training fills the memory before it updates. docs/export.md lists
what can be imported. Python and PyTorch are not needed; nothing in the file is
executed.`,
		Example: `  stein import sac_walker.zip --config walker2d/sac
  stein import model.zip --config pendulum/sac --env my_package:MyEnv-v0 --run-dir runs/mine
  stein eval runs/mine
  stein train --resume runs/mine --steps 200000`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.importModel(f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "configuration of the environment: a name (`NAME`, see stein configs) or a file ending in .yaml")
	flags.StringVar(&f.env, "env", "", "Gymnasium id, overrides the configuration; short for --set env.id=")
	flags.StringVar(&f.runDir, "run-dir", "", "write the run to this `FOLDER`, which must be new or empty")
	flags.StringVar(&f.runs, "runs", "runs", "make the run's folder below this `FOLDER`")
	setFlag(cmd, &f.sets)
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err)
	}
	if err := cmd.RegisterFlagCompletionFunc("config", completeConfigs); err != nil {
		panic(err)
	}
	return cmd
}

func (a *app) importModel(f importFlags, path string) error {
	model, err := readModel(path)
	if err != nil {
		return err
	}
	sets := model.Assignments()
	if f.env != "" {
		sets = append(sets, fmt.Sprintf("env.id=%q", f.env))
	}
	cfg, err := a.catalog.Resolve(f.config, append(sets, f.sets...))
	if err != nil {
		return usageError{err}
	}
	if cfg.Seed == nil {
		seed, err := runs.DrawSeed()
		if err != nil {
			return err
		}
		cfg.Seed = &seed
	}
	log := slog.New(a.logs.quieter(a.stderr, isTerminal(a.stderr)))
	backend, err := experiments.OpenBackend(cfg.Engine.Backend, cfg.Engine.Threads, log)
	if err != nil {
		return err
	}
	run := experiments.Import{
		Config: cfg, ObsDim: model.ObsDim, ActDim: model.ActDim, Step: model.Settings.Steps, Updates: model.Settings.Updates,
		Weights: map[string]*tensors.Tensor{}, Command: os.Args,
	}
	for name, t := range model.Weights {
		run.Weights[name] = tensors.FromFlatDataAndDimensions(t.Data, t.Shape...)
	}
	dir := ""
	checkpoint, err := run.Run(backend, log, func() (*runs.Folder, error) {
		folder, err := runs.Create(f.runDir, f.runs, f.config, cfg)
		if err == nil {
			dir = folder.Dir
		}
		return folder, err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "run         %s\ncheckpoint  %s\nnext        stein eval %s\n", dir, checkpoint, dir)
	return nil
}

func readModel(path string) (*sb3.Model, error) {
	in, err := regular.Open(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	defer in.Close()
	size, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	model, err := sb3.Read(in, size)
	if err != nil {
		return nil, fmt.Errorf("import: %s: %w", path, err)
	}
	return model, nil
}
