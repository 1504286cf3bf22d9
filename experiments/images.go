package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/images/fid"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// An ImageTraining is an image model about to learn, from its start or from a
// checkpoint.
type ImageTraining struct {
	Config  ImageConfig
	Folder  *Folder
	Resume  bool
	Command []string // as the user typed it, for the record
	Log     *slog.Logger
	Watch   Watcher                 // nil: nobody
	Fetched func(done, total int64) // is told of a download; nil: nobody
}

// An ImageResult is how a training ended.
type ImageResult struct {
	Update      int64              `json:"update"`
	Interrupted bool               `json:"interrupted"` // by the context; a checkpoint was written
	Diverged    *ebm.Divergence    `json:"diverged"`    // null: it did not
	Checkpoint  string             `json:"checkpoint"`
	Score       *fid.Score         `json:"score"` // after the last update; null where there was none
	Last        map[string]float64 `json:"last"`  // the last figures of the training
}

// imageRun is an ImageTraining at work.
type imageRun struct {
	ImageTraining
	keeper
	gallery
	images *dataset.Images
	model  *ebm.Model
	loop   *ebm.Loop
	judge  *fid.Reference // nil: no distance is measured
	score  *fid.Score     // of the last evaluation
	last   map[string]float64
}

// The streams of an image model's run.
const (
	streamModel    = "image model"    // initial weights, sampler noise
	streamPictures = "pictures"       // which are drawn, and their noise
	streamSamples  = "image samples"  // of evaluations: the same each time
	streamDrawn    = "sample command" // stein ebm sample, unless it is given a seed
)

// Train trains until the configured updates are done, ctx ends or learning diverges,
// which is a result too. All leave a checkpoint of the last sound update.
func (t ImageTraining) Train(ctx context.Context) (res ImageResult, err error) {
	r := &imageRun{ImageTraining: t, keeper: newKeeper(t.Folder, t.Log, t.Config.Checkpoint.Keep)}
	defer func() { err = errors.Join(err, r.close()) }()
	var from *checkpoint.Checkpoint
	if t.Resume {
		if from, err = r.newest(t.Config.Updates); err != nil {
			return res, err
		}
	}
	if err := r.build(ctx, from); err != nil {
		return res, brief(err)
	}
	if err := r.open(); err != nil {
		return res, err
	}
	err = r.loop.Train(ctx)
	res.Update, res.Last = r.step(), r.last
	if errors.As(err, &res.Diverged) {
		t.Log.Warn("diverged", "update", res.Diverged.Update, "cause", res.Diverged.Cause)
		err = nil
	}
	res.Interrupted = err != nil && ctx.Err() != nil
	if saveErr := r.save(); saveErr != nil {
		return res, errors.Join(brief(err), saveErr)
	}
	res.Checkpoint = r.savedAt
	if err != nil && !res.Interrupted {
		t.Log.Error("training stopped", "update", res.Update, "checkpoint", r.savedAt, "error", err.Error())
		return res, fmt.Errorf("%w; the last good state, of update %d, is in %s", brief(err), res.Update, r.savedAt)
	}
	if !res.Interrupted {
		if err := r.finish(ctx); err != nil && ctx.Err() == nil {
			return res, brief(err)
		}
		res.Score = r.score
	}
	if _, err := DrawImageCurve(t.Folder.Dir, t.Folder.Info.ID); err != nil {
		t.Log.Warn("no curve was drawn", "error", err.Error())
	}
	t.Log.Info("trained", "update", res.Update, "of", t.Config.Updates, "peak_rss_mb", peakMemory()>>20)
	return res, r.writeResult(res)
}

// build makes every part and puts the state of a checkpoint into them, if there is one.
func (r *imageRun) build(ctx context.Context, from *checkpoint.Checkpoint) error {
	c, seed := r.Config, r.Folder.Info.Seed
	backend, choice, err := c.Engine.open(r.Log)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, func() error { backend.Finalize(); return nil })
	if r.images, err = c.Data.open(ctx, "train", r.Fetched); err != nil {
		return err
	}
	if r.judge, err = c.Eval.reference(ctx, backend, r.images, r.Log); err != nil {
		return err
	}
	started := time.Now()
	if r.model, err = ebm.New(backend, c.Model, shapeOf(r.images), uint64(seed.Stream(streamModel))); err != nil {
		return err
	}
	r.closers = append(r.closers, func() error { r.model.Close(); return nil })
	r.Log.Info("compiled", "seconds", math.Round(time.Since(started).Seconds()*10)/10)
	r.gallery = gallery{dir: r.Folder.Dir, model: r.model, images: r.images, seed: uint64(seed.Stream(streamSamples))}

	r.state, r.step = r.write, func() int64 { return int64(r.model.State().Updates) }
	r.loop = &ebm.Loop{
		Model: r.model, Pictures: varied{r.images, dataset.Augment{Flip: c.Data.Flip, Noise: c.Data.Noise}},
		Updates: c.Updates, Seed: uint64(seed.Stream(streamPictures)), Recorder: r, Every: c.Log.Every,
		Periodic: []ebm.Periodic{
			{Every: 1, Do: r.stepped},
			{Every: c.Eval.Every, Do: r.evaluate},
			{Every: c.Checkpoint.Every, Do: r.periodicSave},
		},
	}
	if from != nil {
		if err := r.restore(from); err != nil {
			return err
		}
	}
	return r.begin(choice)
}

func (r *imageRun) begin(choice engine.Choice) error {
	if err := r.keeper.begin(r.Config, r.Config.Engine, choice, r.Command, r.step()); err != nil {
		return err
	}
	r.Log.Info("training", "folder", r.Folder.Dir, "pictures", r.images.Name, "count", r.images.Len(),
		"sampler", r.Config.Model.Sampler.Algorithm, "initial", r.Config.Model.Initial.Kind, "seed", uint64(r.Folder.Info.Seed),
		"backend", choice.Config, "from_update", r.step(), "updates", r.Config.Updates)
	return nil
}

// open opens the record, and tells whoever watches.
func (r *imageRun) open() error {
	if r.Watch == nil {
		return r.openRecords(r.step())
	}
	if err := r.openRecords(r.step(), r.Watch); err != nil {
		return err
	}
	r.Watch.Start(r.step(), r.Config.Updates)
	return nil
}

// varied are pictures as training sees them.
type varied struct {
	*dataset.Images
	how dataset.Augment
}

// Draw fills dst with pictures, each varied anew.
func (v varied) Draw(dst []float32, rng *rand.Rand) { v.Images.Draw(dst, rng, v.how) }

func shapeOf(m *dataset.Images) ebm.Shape {
	return ebm.Shape{Height: m.Height, Width: m.Width, Channels: m.Channels}
}

var _ ebm.Recorder = (*imageRun)(nil)

// Record keeps the last figures, and tells all recorders.
func (r *imageRun) Record(update int64, m map[string]float64) error {
	r.last = maps.Clone(m)
	return r.record.Record(update, r.last)
}

func (r *imageRun) stepped(_ context.Context, update int64) error {
	if r.Watch != nil {
		r.Watch.Stepped(update)
	}
	return nil
}

// Files of a checkpoint.
const (
	modelFile  = "model"      // .safetensors and .json
	chainsFile = "chains.bin" // where samples go on from chains
)

func (r *imageRun) write(w *checkpoint.Writer) error {
	all := []error{w.Store(modelFile, r.model.Store()), w.JSON(modelFile, r.model.State())}
	if r.model.HasChains() {
		all = append(all, w.File(chainsFile, r.model.SaveChains))
	}
	return errors.Join(all...)
}

func (r *imageRun) restore(c *checkpoint.Checkpoint) error {
	if err := restoreModel(r.model, c); err != nil {
		return err
	}
	r.restored(c)
	return nil
}

// restoreModel puts a checkpoint's state into a model.
func restoreModel(m *ebm.Model, c *checkpoint.Checkpoint) error {
	var state ebm.State
	all := []error{c.Store(modelFile, m.Store()), c.JSON(modelFile, &state)}
	if m.HasChains() {
		all = append(all, c.File(chainsFile, m.LoadChains))
	}
	if err := errors.Join(all...); err != nil {
		return err
	}
	m.SetState(state)
	return nil
}

// resultName is the file that says how a run ended.
const resultName = "result.json"

func (r *imageRun) writeResult(res ImageResult) error {
	data, err := json.MarshalIndent(finiteOf(res), "", "  ")
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	return writeFile(filepath.Join(r.Folder.Dir, resultName), append(data, '\n'))
}

// finiteOf leaves out figures that JSON has no way to write.
func finiteOf(res ImageResult) ImageResult {
	res.Last = maps.Clone(res.Last)
	maps.DeleteFunc(res.Last, func(_ string, x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
	return res
}
