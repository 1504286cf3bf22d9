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

// An ImageTraining is an image model about to learn, from its start or from a
// checkpoint.
type ImageTraining struct {
	Config  ImageConfig
	Folder  *runs.Folder
	Resume  bool
	Command []string // as the user typed it, for the record
	Log     *slog.Logger
	Watch   runs.Watcher            // nil: nobody
	Fetched func(done, total int64) // is told of a download; nil: nobody
}

// An ImageResult is how a training ended.
type ImageResult struct {
	Update      int64           `json:"update"`
	Interrupted bool            `json:"interrupted"` // by the context; a checkpoint was written
	Diverged    *ebm.Divergence `json:"diverged"`    // null: it did not
	Checkpoint  string          `json:"checkpoint"`
	Score       *fid.Score      `json:"score"`                  // after the last update; null where there was none
	Last        runs.Metrics    `json:"last"`                   // the last figures of the training
	AlreadyDone bool            `json:"already_done,omitempty"` // the folder had all its updates: nothing was trained
	Controls    []ScoreRow      `json:"controls,omitempty"`     // beside it, of as many pictures: start, noise, normals, held-out
}

// imageRun is an ImageTraining at work.
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
	diverged *ebm.Divergence // nil: it did not
	controls []ScoreRow      // measured at the end
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
	if end.AlreadyDone { // what the folder says of its end stands
		res.AlreadyDone = true
		return res, nil
	}
	if !res.Interrupted {
		res.Score, res.Controls = r.score, r.controls
	}
	if _, err := DrawImageCurve(t.Folder.Dir, t.Folder.Info.ID); err != nil {
		t.Log.Warn("no curve was drawn", "error", err.Error())
	}
	return res, r.writeResult(res)
}

var _ runs.Work = (*imageRun)(nil)

// Step is the number of updates done.
func (r *imageRun) Step() int64 { return int64(r.model.State().Updates) }

// Train trains the model. That it diverges is no error.
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

// Build makes every part.
func (r *imageRun) Build(ctx context.Context, k *runs.Keeper) (chosen string, err error) {
	c, seed := r.Config, r.Folder.Info.Seed
	r.keeper = k
	backend, choice, err := c.Engine.open(r.Log)
	if err != nil {
		return "", err
	}
	k.OnClose(func() error { backend.Finalize(); return nil })
	if r.images, err = c.Data.open(ctx, "train", r.Fetched); err != nil {
		return "", err
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

// Record tells all recorders.
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
	chainsFile = "chains.bin" // where samples go on from chains
)

// Save puts everything that the run needs to go on into a checkpoint.
func (r *imageRun) Save(w *checkpoint.Writer) error {
	all := []error{w.Store(modelFile, r.model.Store()), w.JSON(modelFile, r.model.State())}
	if r.model.HasChains() {
		all = append(all, w.File(chainsFile, r.model.SaveChains))
	}
	return errors.Join(all...)
}

// Restore puts a checkpoint's state into the model.
func (r *imageRun) Restore(c *checkpoint.Checkpoint) error { return restoreModel(r.model, c) }

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
	return runs.WriteFile(filepath.Join(r.Folder.Dir, resultName), append(data, '\n'))
}

// finiteOf leaves out figures that JSON has no way to write.
func finiteOf(res ImageResult) ImageResult {
	res.Last = maps.Clone(res.Last)
	maps.DeleteFunc(res.Last, func(_ string, x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
	return res
}
