package cmd

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/runs"
)

// useFlags holds the flags of stein ebm score and stein ebm restore.
type useFlags struct {
	sampling experiments.ImageSampling
	seed     uint64
	n        int
	against  []string
	out      string
	asJSON   bool

	damage experiments.Damage
	rounds int
	zoom   int
}

const imagesHelp = `IMAGES is a folder of PNG or JPEG files, an array in a .npy or .safetensors file, or a data
set with its split: fashion-mnist/test, cifar10/test=/data/cifar-10-binary.tar.gz. Images
are converted to the model's size and channels.`

func (a *app) ebmScoreCmd() *cobra.Command {
	var f useFlags
	cmd := &cobra.Command{
		Use:   "score RUN [IMAGES]",
		Short: "Compute the energies of images with a run's model, and how well they separate sets",
		Long: `Computes f of each image, which is larger for images like those of the training set,
and its rank. --against compares with other images and reports the AUROC: the probability
that one of IMAGES has the larger f. 1 means that f separates the sets, 0.5 that it does
not. Without IMAGES, the held-out images of the run's data set are scored.

` + imagesHelp + `
--against also accepts turned (by 90°), blurred and noisy: modified versions of IMAGES.`,
		Example: `  stein ebm score runs/ebm-met-lc-0-20261125-120000 --against cifar10/test --against turned --against blurred --against noisy
  stein ebm score runs/ebm-met-lc-0-20261125-120000 photographs/ --out energies.csv`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			a.ofRun(c, &f, args[0])
			images := ""
			if len(args) == 2 {
				images = args[1]
			}
			return a.score(c.Context(), f, images)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.against, "against", nil, "other `IMAGES` to compare with; may be repeated")
	flags.StringVarP(&f.out, "out", "o", "", "CSV `FILE` of set, image, f and rank")
	flags.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	f.add(cmd, 1000)
	return cmd
}

func (a *app) ebmRestoreCmd() *cobra.Command {
	var f useFlags
	cmd := &cobra.Command{
		Use:   "restore RUN IMAGES",
		Short: "Denoise images, or fill in a missing part, with the run's sampler",
		Long: `Damages images, moves them with the run's sampler towards the model's density given the
known values, and writes a grid of the originals, the damaged and the restored images.

` + imagesHelp,
		Example: `  stein ebm restore runs/ebm-met-lc-0-20261125-120000 fashion-mnist/test --mask right --out filled.png
  stein ebm restore runs/ebm-met-lc-0-20261125-120000 fashion-mnist/test --noise 0.3 --out denoised.png`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			a.ofRun(c, &f, args[0])
			return a.restore(c.Context(), f, args[1])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.damage.Mask, "mask", "none", "part to remove: left, right, top, bottom, middle, or none")
	flags.Float64Var(&f.damage.Noise, "noise", 0, "standard deviation of the added noise; values are in [-1, 1]")
	flags.IntVar(&f.rounds, "rounds", 10, "number of runs of the sampler, in sequence")
	flags.IntVar(&f.zoom, "zoom", 2, "magnification of each image in the grid")
	flags.StringVarP(&f.out, "out", "o", "restored.png", "PNG `FILE`: each row is an image: original, damaged, restored")
	f.add(cmd, 12)
	return cmd
}

func (f *useFlags) add(cmd *cobra.Command, n int) {
	flags := cmd.Flags()
	flags.IntVar(&f.n, "n", n, "number of images to use of each set, the first ones; 0: all")
	flags.StringVar(&f.sampling.Checkpoint, "checkpoint", "last", "last, best, or an update")
	flags.Uint64Var(&f.seed, "seed", 0, "random seed (default: that of the run)")
	setFlag(cmd, &f.sampling.Sets)
}

// ofRun sets the run to use.
func (a *app) ofRun(c *cobra.Command, f *useFlags, run string) {
	f.sampling.Dir, f.sampling.Log = run, slog.New(a.logs.quieter(a.stderr, isTerminal(a.stderr)))
	if c.Flags().Changed("seed") {
		given := runs.Seed(f.seed)
		f.sampling.Seed = &given
	}
}

// own reads the images to score, at most n of them; "" means the held-out images of the
// run's data set.
func (f useFlags) own(ctx context.Context, what string) (*dataset.Images, error) {
	if what != "" {
		return f.pictures(ctx, what)
	}
	m, err := f.sampling.HeldOut(ctx)
	if err != nil {
		return nil, err
	}
	return f.some(m), nil
}

// some returns the first n images.
func (f useFlags) some(m *dataset.Images) *dataset.Images {
	if f.n == 0 || f.n >= m.Len() {
		return m
	}
	return m.Slice(0, f.n)
}

// pictures reads images as described by imagesHelp, at most n of them.
func (f useFlags) pictures(ctx context.Context, what string) (*dataset.Images, error) {
	spec, path, _ := strings.Cut(what, "=")
	name, split, _ := strings.Cut(spec, "/")
	var m *dataset.Images
	var err error
	if name != "folder" && slices.Contains(dataset.Names, name) {
		m, err = dataset.Open(ctx, dataset.Source{Name: name, Path: path, Split: split})
	} else {
		m, err = dataset.OpenSamples(ctx, what, nil)
	}
	if err != nil {
		return nil, err
	}
	return f.some(m), nil
}

// blurSquare and noiseStd set the strength of --against blurred and noisy.
const (
	blurSquare = 1
	noiseStd   = 0.2
)

// changes are the modifications that --against accepts besides IMAGES.
var changes = []string{"turned", "blurred", "noisy"}

// changed applies one of changes to images of the model's size.
func (f useFlags) changed(how string, of *dataset.Images) (*dataset.Images, error) {
	switch how {
	case "turned":
		return of.Turned()
	case "blurred":
		return of.Blurred(blurSquare), nil
	default:
		seed := f.sampling.Seed
		if seed == nil {
			info, err := runs.ReadInfo(f.sampling.Dir)
			if err != nil {
				return nil, err
			}
			seed = &info.Seed
		}
		return of.Noisy(noiseStd, rand.New(rand.NewPCG(uint64(*seed), 0))), nil
	}
}

// A scoreReport is the result of stein ebm score for one set.
type scoreReport struct {
	Images string    `json:"images"`
	N      int       `json:"n"`
	Mean   float64   `json:"mean_f"`
	AUROC  *float64  `json:"auroc,omitempty"` // of the first set against this one
	F      []float64 `json:"f"`
	Ranks  []int     `json:"ranks"`
}

func (a *app) score(ctx context.Context, f useFlags, images string) error {
	if f.n < 0 {
		return usageError{fmt.Errorf("--n %d: want 0 (all) or more", f.n)}
	}
	own, err := f.own(ctx, images)
	if err != nil {
		return err
	}
	sets := make([]*dataset.Images, 1+len(f.against))
	for i, what := range f.against { // before compiling the model, to report wrong names early
		if !slices.Contains(changes, what) {
			if sets[1+i], err = f.pictures(ctx, what); err != nil {
				return err
			}
		}
	}
	model, err := f.sampling.Open(ctx)
	if err != nil {
		return err
	}
	defer model.Close()
	if sets[0], err = model.Fit(own); err != nil {
		return err
	}
	for i, what := range f.against {
		if slices.Contains(changes, what) {
			if sets[1+i], err = f.changed(what, sets[0]); err != nil {
				return err
			}
		}
	}
	var reports []scoreReport
	for i, set := range sets {
		scores, err := model.Score(set)
		if err != nil {
			return err
		}
		r := scoreReport{Images: set.Name, N: len(scores.F), F: scores.F, Ranks: scores.Ranks}
		for _, x := range scores.F {
			r.Mean += x / float64(len(scores.F))
		}
		if i > 0 {
			auroc := experiments.AUROC(reports[0].F, scores.F)
			r.AUROC = &auroc
		}
		reports = append(reports, r)
	}
	if f.out != "" {
		if err := replaceFile(f.out, func(out io.Writer) error { return writeScores(out, reports) }); err != nil {
			return err
		}
	}
	if f.asJSON {
		return a.printJSON(reports)
	}
	return printScores(a.stdout, reports)
}

func writeScores(out io.Writer, reports []scoreReport) error {
	w := csv.NewWriter(out)
	rows := [][]string{{"images", "picture", "f", "rank"}}
	for _, r := range reports {
		for i, f := range r.F {
			rows = append(rows, []string{r.Images, strconv.Itoa(i), strconv.FormatFloat(f, 'g', -1, 64), strconv.Itoa(r.Ranks[i])})
		}
	}
	return w.WriteAll(rows)
}

func printScores(out io.Writer, reports []scoreReport) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "images\tpictures\tmean f\tAUROC\n")
	for _, r := range reports {
		auroc := ""
		if r.AUROC != nil {
			auroc = fmt.Sprintf("%.3f", *r.AUROC)
		}
		fmt.Fprintf(t, "%s\t%d\t%.4g\t%s\n", r.Images, r.N, r.Mean, auroc)
	}
	return t.Flush()
}

func (a *app) restore(ctx context.Context, f useFlags, images string) error {
	if f.n < 1 || f.rounds < 0 || f.zoom < 1 || f.damage.Noise < 0 {
		return usageError{fmt.Errorf("--n %d --rounds %d --zoom %d --noise %g: want --n and --zoom at least 1, the others at least 0", f.n, f.rounds, f.zoom, f.damage.Noise)}
	}
	if f.damage.Noise == 0 && f.damage.Mask == "none" {
		return usageError{fmt.Errorf("nothing to restore: set --mask or --noise")}
	}
	if _, err := f.damage.Known(1, 1, 1); err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	whole, err := f.pictures(ctx, images)
	if err != nil {
		return err
	}
	model, err := f.sampling.Open(ctx)
	if err != nil {
		return err
	}
	defer model.Close()
	tell := &counter{out: a.stderr, terminal: isTerminal(a.stderr), log: f.sampling.Log}
	r, err := model.Restore(ctx, whole, f.damage, f.rounds, tell.of("restoring, batches"))
	tell.end()
	if err != nil {
		return err
	}
	if err := experiments.WriteColumns(f.out, f.zoom, r.Whole, r.Damaged, r.Restored); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%d images in %s; mean squared error %.4f damaged, %.4f restored\n",
		r.Whole.Len(), f.out, experiments.MeanSquare(r.Whole, r.Damaged), experiments.MeanSquare(r.Whole, r.Restored))
	return nil
}
