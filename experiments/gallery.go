package experiments

import (
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/images/fid"
	"github.com/stein-rl/stein/internal/picture"
	"github.com/stein-rl/stein/runs"
)

// reference holds what samples are compared with; nil without a metric.
func (e ImageEval) reference(ctx context.Context, backend compute.Backend, images *dataset.Images, log *slog.Logger) (*fid.Reference, error) {
	if e.Extractor == "none" {
		return nil, nil
	}
	extractor, err := fid.Open(backend, e.Extractor, e.Weights)
	if err != nil {
		return nil, fmt.Errorf("%w; or disable distances with --set eval.extractor=none", err)
	}
	some := images.Slice(0, min(e.Reference, images.Len()))
	log.Info("statistics of the data set", "extractor", extractor.Name(), "pictures", some.Len())
	return fid.NewReference(ctx, extractor, some, fid.Options{Warn: func(err error) { log.Warn(err.Error()) }})
}

// A gallery writes images of a model to the run's folder.
type gallery struct {
	dir    string
	model  *ebm.Model
	images *dataset.Images
	seed   uint64
}

const (
	galleryDir  = "pictures"
	gridColumns = 8
	gridZoom    = 2
	neighboured = 8 // samples shown with their nearest training images
	neighbours  = 7
)

// evaluate measures the model on samples, draws some, and saves a checkpoint if it is the
// best so far.
func (r *imageRun) evaluate(ctx context.Context, update int64) error {
	x, err := r.model.Draw(ctx, max(r.Config.Eval.Samples, r.Config.Eval.Pictures), r.gallery.seed, nil)
	if err != nil {
		return err
	}
	drawn, err := samplesOf(x, r.images)
	if err != nil {
		return err
	}
	if r.judge != nil {
		score, err := r.judge.Score(ctx, drawn.Slice(0, r.Config.Eval.Samples), nil)
		if err != nil {
			return err
		}
		r.score = &score
		m := runs.Metrics{
			"eval/" + metricName(score.Metric): score.Frechet, "eval/kid": score.KID, "eval/kid_error": score.KIDError,
			"eval/precision": score.Precision, "eval/recall": score.Recall,
		}
		if score.Infinite != nil {
			m["eval/"+metricName(score.Metric)+"_infinite"] = *score.Infinite
		}
		if score.Inception > 0 {
			m["eval/inception_score"] = score.Inception
		}
		if err := r.keeper.Evaluated(update, m, -score.Frechet, ""); err != nil {
			return err
		}
	}
	if err := r.hang(update, drawn, x); err != nil { // training continues without the images
		r.Log.Warn("cannot draw images; training continues", "update", update, "error", err.Error())
	}
	return nil
}

// metricName is a metric's name in files: fd_e0, fid.
func metricName(metric string) string { return strings.ToLower(strings.ReplaceAll(metric, "-", "_")) }

func samplesOf(x []float32, like *dataset.Images) (*dataset.Images, error) {
	return dataset.FromFloats("samples", x, like.Height, like.Width, like.Channels)
}

// hang draws a grid of samples, and a histogram of f for data and samples.
func (r *imageRun) hang(update int64, drawn *dataset.Images, x []float32) error {
	if r.Config.Eval.Pictures == 0 {
		return nil
	}
	grid := picture.Grid(drawn.Pictures(0, r.Config.Eval.Pictures), gridColumns, gridZoom)
	if err := r.show(update, "samples", grid); err != nil {
		return err
	}
	size := drawn.Size()
	some := min(r.Config.Eval.Pictures, r.images.Len()) // a folder may have few images
	data := make([]float32, some*size)
	r.images.Floats(data, 0, some)
	ofData, err := r.model.Energies(data)
	if err != nil || ofData == nil {
		return err
	}
	ofSamples, err := r.model.Energies(x[:len(data)])
	if err != nil {
		return err
	}
	spread, err := picture.Histogram{
		Title: fmt.Sprintf("update %d", update), Label: "f",
		Groups: []picture.Group{{Name: "data", Values: ofData}, {Name: "samples", Values: ofSamples}},
	}.Draw()
	if err != nil {
		return err
	}
	return r.show(update, "energies", spread)
}

// show writes an image to the folder and to TensorBoard.
func (r *imageRun) show(update int64, name string, img image.Image) error {
	data, err := r.keeper.Picture(update, name, img)
	if err != nil {
		return err
	}
	return r.gallery.write(fmt.Sprintf("%s-%08d.png", name, update), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// write creates a file of the gallery.
func (g gallery) write(name string, write func(io.Writer) error) error {
	dir := filepath.Join(g.dir, galleryDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("experiments: %w", err)
	}
	return picture.Save(filepath.Join(dir, name), write)
}

// Finish measures the final model, and draws what is only useful at the end: nearest
// training images of samples, and the sampler's trajectories.
func (r *imageRun) Finish(ctx context.Context) error {
	if !r.keeper.EvaluatedAt(r.Step()) {
		if err := r.evaluate(ctx, r.Step()); err != nil {
			return err
		}
	}
	if err := r.control(ctx); err != nil {
		return err
	}
	if r.Config.Eval.Pictures == 0 {
		return nil
	}
	if err := r.gallery.neighbours(ctx); err != nil {
		return err
	}
	return r.gallery.way()
}

// control measures the controls of the distance, and shows the starting points of the
// grid's samples.
func (r *imageRun) control(ctx context.Context) error {
	n := max(r.Config.Eval.Samples, r.Config.Eval.Pictures)
	x, err := r.model.Start(ctx, n, r.gallery.seed)
	if err != nil {
		return err
	}
	start, err := samplesOf(x, r.images)
	if err != nil {
		return err
	}
	if r.Config.Eval.Pictures > 0 {
		if err := r.show(r.Step(), "start", picture.Grid(start.Pictures(0, r.Config.Eval.Pictures), gridColumns, gridZoom)); err != nil {
			return err
		}
	}
	if r.judge == nil {
		return nil
	}
	score, err := r.judge.Score(ctx, start.Slice(0, r.Config.Eval.Samples), nil)
	if err != nil {
		return err
	}
	heldOut, err := r.Config.Data.heldOut(ctx, "train")
	if err != nil { // a data set may lack the other split
		r.Log.Warn("cannot measure held-out images", "error", err.Error())
	}
	rows, err := Controls{Reference: r.judge, Data: r.images, HeldOut: heldOut, N: r.Config.Eval.Samples}.Rows(ctx)
	if err != nil {
		return err
	}
	r.controls = append([]ScoreRow{{StartControl, score}}, rows...)
	m := runs.Metrics{}
	for _, c := range r.controls {
		name := "control/" + strings.ReplaceAll(c.Name, " ", "_") + "_"
		m[name+metricName(c.Metric)], m[name+"kid"] = c.Frechet, c.KID
	}
	return r.keeper.Evaluated(r.Step(), m, math.NaN(), "") // no checkpoint depends on them
}

// neighbours shows samples next to their nearest training images, to detect memorisation.
func (g gallery) neighbours(ctx context.Context) error {
	x, err := g.model.Draw(ctx, neighboured, g.seed, nil)
	if err != nil {
		return err
	}
	drawn, err := samplesOf(x, g.images)
	if err != nil {
		return err
	}
	near, err := drawn.Nearest(ctx, g.images, min(neighbours, g.images.Len()))
	if err != nil {
		return err
	}
	beside := make([][]image.Image, len(near))
	for i, places := range near {
		for _, p := range places {
			beside[i] = append(beside[i], g.images.Picture(p))
		}
	}
	return g.write("neighbours.png", func(w io.Writer) error {
		return png.Encode(w, picture.Beside(drawn.Pictures(0, drawn.Len()), beside, gridZoom))
	})
}

// way animates samples over the steps of the sampler.
func (g gallery) way() error {
	states, err := g.model.Way(g.seed)
	if err != nil {
		return err
	}
	var frames []image.Image
	for _, x := range states {
		drawn, err := samplesOf(x, g.images)
		if err != nil {
			return err
		}
		frames = append(frames, picture.Grid(drawn.Pictures(0, drawn.Len()), 4, 2*gridZoom))
	}
	return g.write("steps.gif", func(w io.Writer) error { return picture.WriteAnimation(w, frames, 20) })
}
