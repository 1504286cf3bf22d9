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

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/images/fid"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// An ImageTraining is an image model to train, from the start or from a checkpoint.
type ImageTraining struct {
	Config  ImageConfig
	Folder  *runs.Folder
	Resume  bool
	Command []string // as the user typed it, for the record
	Log     *slog.Logger
	Watch   runs.Watcher            // may be nil
	Fetched func(done, total int64) // progress of a download; may be nil
}

// An ImageResult is the outcome of a training.
type ImageResult struct {
	Update      int64           `json:"update"`
	Interrupted bool            `json:"interrupted"` // by the context; a checkpoint was written
	Diverged    *ebm.Divergence `json:"diverged"`    // null: it did not diverge
	Checkpoint  string          `json:"checkpoint"`
	Score       *fid.Score      `json:"score"`                  // after the last update; null if not measured
	Last        runs.Metrics    `json:"last"`                   // the last figures of the training
	AlreadyDone bool            `json:"already_done,omitempty"` // all updates were already done; nothing was trained
	Controls    []ScoreRow      `json:"controls,omitempty"`     // controls with as many images: start, noise, normals, held-out
}

// imageRun is a running ImageTraining.
type imageRun struct {
	ImageTraining
	gallery
	keeper   *runs.Keeper
	backend  string
	images   *dataset.Images
	model    *ebm.Model
	loop     *ebm.Loop
	judge    *fid.Reference  // nil: no distance is measured
	score    *fid.Score      // of the last evaluation
	diverged *ebm.Divergence // nil: it did not diverge
	controls []ScoreRow      // measured at the end
}

// The random streams of an image model's run.
const (
	streamModel    = "image model"    // initial weights, sampler noise
	streamPictures = "pictures"       // which images are drawn, and their noise
	streamSamples  = "image samples"  // samples of evaluations: always the same
	streamDrawn    = "sample command" // stein ebm sample without a seed
)

// Train trains until the configured updates are done, ctx ends or the training diverges,
// which is not an error. In each case it leaves a checkpoint of the last good update.
func (t ImageTraining) Train(ctx context.Context) (ImageResult, error) {
	r := &imageRun{ImageTraining: t}
	end, err := runs.Training{
		Folder: t.Folder, Config: t.Config, Total: t.Config.Updates, Unit: "update", Keep: t.Config.Checkpoint.Keep,
		Threads: t.Config.Engine.Threads, Resume: t.Resume, Command: t.Command, Log: t.Log, Watch: t.Watch,
	}.Train(ctx, r)
	res := ImageResult{
		Update: end.Step, Interrupted: end.Interrupted, Diverged: r.diverged, Checkpoint: end.Checkpoint, Last: end.Last,
	}
	if err != nil {
		return res, err
	}
	if end.AlreadyDone { // keep the result stored in the folder
		res.AlreadyDone = true
		return res, nil
	}
	if !res.Interrupted {
		res.Score, res.Controls = r.score, r.controls
	}
	if _, err := DrawImageCurve(t.Folder.Dir, t.Folder.Info.ID); err != nil {
		t.Log.Warn("cannot draw the curve", "error", err.Error())
	}
	return res, r.writeResult(res)
}

var _ runs.Work = (*imageRun)(nil)

// Step is the number of updates done.
func (r *imageRun) Step() int64 { return int64(r.model.State().Updates) }

// Train trains the model. Divergence is not an error.
func (r *imageRun) Train(ctx context.Context) error {
	c := r.Config
	r.Log.Info("training", "folder", r.Folder.Dir, "pictures", r.images.Name, "count", r.images.Len(),
		"sampler", c.Model.Sampler.Algorithm, "initial", c.Model.Initial.Kind, "seed", uint64(r.Folder.Info.Seed),
		"backend", r.backend, "from_update", r.Step(), "updates", c.Updates)
	err := r.loop.Train(ctx)
	if errors.As(err, &r.diverged) {
		r.Log.Warn("diverged", "update", r.diverged.Update, "cause", r.diverged.Cause)
		return nil
	}
	return err
}

// Build builds all parts.
func (r *imageRun) Build(ctx context.Context, k *runs.Keeper) (chosen string, err error) {
	c, seed := r.Config, r.Folder.Info.Seed
	r.keeper = k
	backend, choice, err := c.Engine.open(r.Log)
	if err != nil {
		return "", err
	}
	if r.images, err = c.Data.open(ctx, "train", r.Fetched); err != nil {
		return "", err
	}
	if err := c.Model.Check(shapeOf(r.images)); err != nil { // before statistics are computed
		return "", fmt.Errorf("model: %w", err)
	}
	if r.judge, err = c.Eval.reference(ctx, backend, r.images, r.Log); err != nil {
		return "", err
	}
	started := time.Now()
	if r.model, err = ebm.New(backend, c.Model, shapeOf(r.images), uint64(seed.Stream(streamModel))); err != nil {
		return "", err
	}
	k.OnClose(func() error { r.model.Close(); return nil })
	r.Log.Info("compiled", "seconds", math.Round(time.Since(started).Seconds()*10)/10)
	r.gallery = gallery{dir: r.Folder.Dir, model: r.model, images: r.images, seed: uint64(seed.Stream(streamSamples))}

	r.loop = &ebm.Loop{
		Model: r.model, Pictures: varied{r.images, dataset.Augment{Flip: c.Data.Flip, Noise: c.Data.Noise}},
		Updates: c.Updates, Seed: uint64(seed.Stream(streamPictures)), Recorder: r, Every: c.Log.Every,
		Periodic: []ebm.Periodic{
			{Every: 1, Do: r.stepped},
			{Every: c.Eval.Every, Do: r.evaluate},
			{Every: c.Checkpoint.Every, Do: k.PeriodicSave},
		},
	}
	r.backend = choice.Config
	return r.backend, nil
}

// varied is the images with training's augmentation.
type varied struct {
	*dataset.Images
	how dataset.Augment
}

// Draw fills dst with images, each augmented independently.
func (v varied) Draw(dst []float32, rng *rand.Rand) { v.Images.Draw(dst, rng, v.how) }

func shapeOf(m *dataset.Images) ebm.Shape {
	return ebm.Shape{Height: m.Height, Width: m.Width, Channels: m.Channels}
}

var _ ebm.Recorder = (*imageRun)(nil)

// Record passes figures to all recorders.
func (r *imageRun) Record(update int64, m map[string]float64) error {
	return r.keeper.Record(update, maps.Clone(m))
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
	chainsFile = "chains.bin" // chains of persistent sampling
)

// Save writes everything needed to resume the run.
func (r *imageRun) Save(w *checkpoint.Writer) error {
	all := []error{w.Store(modelFile, r.model.Store()), w.JSON(modelFile, r.model.State())}
	if r.model.HasChains() {
		all = append(all, w.File(chainsFile, r.model.SaveChains))
	}
	return errors.Join(all...)
}

// Restore loads a checkpoint into the model.
func (r *imageRun) Restore(c *checkpoint.Checkpoint) error { return restoreModel(r.model, c) }

// restoreModel loads a checkpoint into a model.
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

// resultName is the file with the outcome of a run.
const resultName = "result.json"

func (r *imageRun) writeResult(res ImageResult) error {
	data, err := json.MarshalIndent(finiteOf(res), "", "  ")
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	return runs.WriteFile(filepath.Join(r.Folder.Dir, resultName), append(data, '\n'))
}

// finiteOf removes figures that JSON cannot represent.
func finiteOf(res ImageResult) ImageResult {
	res.Last = maps.Clone(res.Last)
	maps.DeleteFunc(res.Last, func(_ string, x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
	return res
}
