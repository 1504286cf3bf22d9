package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/regular"
	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/interop/export"
	"github.com/stein-rl/stein/replay/normalize"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// exportFlags are the flags of stein export.
type exportFlags struct{ checkpoint, out, format, only string }

func (a *app) exportCmd() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export RUN",
		Short: "Export a run's agent as safetensors, ONNX or a run folder, or its energy as ONNX",
		Long: `Writes the weights of a run's agent as safetensors (policy, critics, targets,
temperature, observation statistics), or its policy as ONNX (Gaussian and flow only).
For the run of an image model, it writes the energy f as ONNX.

With --format run, it writes a run folder of one checkpoint without the optimisers'
variables and the replay memory: small enough to give away. stein eval, serve, report
and export take it; stein train --resume does not. --only acting also leaves out all
that actions do not need, such as a Gaussian's critics: the folder is smaller, and its
actions are the same. With --checkpoint none the folder holds the record alone, settings
and figures, for stein report.

docs/export.md lists the names, and the inputs and outputs of the model. Python and the
environment are not needed.`,
		Example: `  stein export runs/walker2d-sac-0-20261124-120000 --out walk.safetensors
  stein export runs/walker2d-sac-0-20261124-120000 --checkpoint best --out walk.onnx
  stein export runs/walker2d-sac-0-20261124-120000 --format run --out models/walker2d-sac
  stein export runs/walker2d-sac-0-20261124-120000 --format run --only acting --out models/walker2d-sac`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if experiments.IsImageRun(args[0]) {
				return a.exportEnergy(c.Context(), f, args[0])
			}
			return a.export(f, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.checkpoint, "checkpoint", "last", "last, best, or a step; with --format run also none")
	flags.StringVarP(&f.out, "out", "o", "", "`FILE` to write, ending in .safetensors or .onnx, or folder (default: named after the run)")
	flags.StringVar(&f.format, "format", "", "safetensors, onnx or run (default: from the file's extension)")
	flags.StringVar(&f.only, "only", "", "with --format run: acting, to leave out what actions do not need")
	return cmd
}

// check completes file name and format.
func (f *exportFlags) check(run string) error {
	if f.format == "" {
		f.format = "safetensors"
		if f.out != "" {
			f.format = strings.ToLower(strings.TrimPrefix(filepath.Ext(f.out), "."))
		}
	}
	if f.format != "safetensors" && f.format != "onnx" && f.format != "run" {
		return usageError{fmt.Errorf("format %q: want safetensors, onnx or run (--format, or the extension of --out)", f.format)}
	}
	switch {
	case f.only != "" && f.only != checkpoint.Acting:
		return usageError{fmt.Errorf("--only %s: want %s", f.only, checkpoint.Acting)}
	case f.only != "" && f.format != "run":
		return usageError{fmt.Errorf("--only %s needs --format run, not %s", f.only, f.format)}
	case f.only != "" && f.checkpoint == "none":
		return usageError{fmt.Errorf("--only %s with --checkpoint none: the record alone has no agent: use one of them", f.only)}
	}
	if f.format == "run" && f.out == "" {
		return usageError{fmt.Errorf("format run: set the folder to write with --out")}
	}
	if f.out == "" {
		whole, err := filepath.Abs(run) // the run may be the working directory
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		f.out = filepath.Base(whole) + "." + f.format
	}
	return nil
}

func (a *app) export(f exportFlags, run string) error {
	if err := f.check(run); err != nil {
		return err
	}
	log := slog.New(a.logs.quieter(a.stderr, isTerminal(a.stderr)))
	if f.format == "run" {
		step, err := a.catalog.ExportRun(experiments.RunExport{Dir: run, Checkpoint: f.checkpoint, To: f.out, Acting: f.only == checkpoint.Acting, Log: log})
		switch {
		case err != nil:
			return err
		case f.checkpoint == "none":
			fmt.Fprintln(a.stdout, f.out)
		default:
			fmt.Fprintf(a.stdout, "%s (step %d)\n", f.out, step)
		}
		return nil
	}
	backend, err := experiments.OpenBackend("", 0, log)
	if err != nil {
		return err
	}
	actor, err := a.catalog.OpenActor(backend, run, f.checkpoint, log)
	if err != nil {
		return err
	}
	defer actor.Close()
	if f.format == "onnx" && actor.Config.Policy.Value == nil {
		return fmt.Errorf("export: ONNX needs a policy of the catalog, and agent %s has none; use --format safetensors", actor.Config.Agent.Name)
	}
	learned, ok := actor.Agent.(export.Weighted)
	if !ok {
		return fmt.Errorf("export: agents of kind %s cannot export weights", actor.Config.Agent.Name)
	}
	weights, err := export.Weights(learned)
	if err != nil {
		return err
	}
	metadata, err := metadataOf(actor)
	if err != nil {
		return err
	}
	if actor.Spec.Bounds == nil {
		log.Warn("the checkpoint does not say the bounds of the environment's actions: the metadata leave act_low and act_high out", "checkpoint", actor.At.Path)
	}
	var moments *normalize.Moments
	if n, ok := actor.Norm.(*normalize.Normalizer); ok {
		moments = n.State().Obs
	}
	err = replaceFile(f.out, func(out io.Writer) error {
		if f.format == "onnx" {
			return export.WriteONNX(out, export.Policy{
				Kind: actor.Config.Policy.Value, Weights: weights, ObsDim: actor.Spec.ObsDim, ActDim: actor.Spec.ActDim,
				Obs: moments, Clip: actor.Config.Normalize.Clip,
			}, metadata)
		}
		return export.WriteSafetensors(out, append(weights, export.Statistics(moments)...), metadata)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s\n", f.out)
	return nil
}

// exportEnergy exports the energy f of an image model.
func (a *app) exportEnergy(ctx context.Context, f exportFlags, run string) error {
	if f.format == "" && f.out == "" {
		f.format = "onnx"
	}
	if err := f.check(run); err != nil {
		return err
	}
	if f.format != "onnx" {
		return usageError{fmt.Errorf("an image model's energy can only be exported as ONNX, not as %s", f.format)}
	}
	log := slog.New(a.logs.quieter(a.stderr, isTerminal(a.stderr)))
	m, err := experiments.ImageSampling{Dir: run, Checkpoint: f.checkpoint, Log: log}.Open(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	layers, err := m.Layers()
	if err != nil {
		return err
	}
	metadata := map[string]string{
		"format": "stein", "kind": "energy", "run": m.Info.ID, "update": strconv.FormatInt(m.Update, 10), "data": m.Config.Data.Name,
		"height": strconv.Itoa(layers.Shape.Height), "width": strconv.Itoa(layers.Shape.Width), "channels": strconv.Itoa(layers.Shape.Channels),
		"values": "(byte + 0.5)/128 - 1", "temperature": strconv.FormatFloat(m.Config.Model.Temperature, 'g', -1, 64),
	}
	if err := replaceFile(f.out, func(out io.Writer) error { return export.WriteEnergyONNX(out, layers, metadata) }); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s\n", f.out)
	return nil
}

// metadataOf describes where weights come from and how to use them.
func metadataOf(a *experiments.Actor) (map[string]string, error) {
	policy, err := settings.Encode(a.Config.Policy)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	agent, err := settings.Encode(a.Config.Agent)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	all := map[string]string{
		"format": "stein", "algorithm": a.Config.Agent.Name, "run": a.Info.ID, "env": a.Spec.ID, "step": strconv.FormatInt(a.At.Step, 10),
		"obs_name": "observation", "obs_dim": strconv.Itoa(a.Spec.ObsDim), "act_dim": strconv.Itoa(a.Spec.ActDim),
		"policy": string(policy), "agent": string(agent),
	}
	lists := map[string]any{}
	if a.Spec.ObsShape != nil {
		lists["obs_shape"], lists["act_shape"] = a.Spec.ObsShape, a.Spec.ActShape
	}
	if b := a.Spec.Bounds; b != nil {
		lists["act_low"], lists["act_high"] = b.Low, b.High
	}
	for name, list := range lists {
		text, err := json.Marshal(list)
		if err != nil {
			return nil, fmt.Errorf("export: %s: %w", name, err)
		}
		all[name] = string(text)
	}
	return all, nil
}

// replaceFile writes a file atomically, through a link if there is one. What is no file,
// such as a device, is not replaced.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return usageError{fmt.Errorf("--out %s: it is %s, want a file", path, regular.Irregular(info.Mode()))}
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return usageError{fmt.Errorf("--out %s: cannot write into folder %s: %w", path, filepath.Dir(path), err)}
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name())
		}
	}()
	if err := write(temp); err != nil {
		temp.Close()
		return err
	}
	if err := temp.Chmod(0o644); err != nil {
		temp.Close()
		return fmt.Errorf("export: %w", err)
	}
	if err := temp.Close(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}
