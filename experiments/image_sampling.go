package experiments

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/internal/picture"
	"github.com/stein-rl/stein/runs"
)

// GalleryOf is the folder of a run's pictures.
func GalleryOf(dir string) string { return filepath.Join(dir, galleryDir) }

// An ImageSampling draws from the model of a run.
type ImageSampling struct {
	Dir        string
	Checkpoint string // last, best, or an update
	N          int
	Seed       *runs.Seed // nil: from the run's own
	Sets       []string
	Log        *slog.Logger
}

// Drawn are samples of a run's model.
type Drawn struct {
	*dataset.Images
	Config ImageConfig
	Update int64 // of the checkpoint
}

// Draw draws N samples.
func (s ImageSampling) Draw(ctx context.Context) (d Drawn, err error) {
	info, err := runs.ReadInfo(s.Dir)
	if err != nil {
		return d, err
	}
	if d.Config, err = RereadImages(s.Dir, s.Sets); err != nil {
		return d, err
	}
	c, err := runs.OpenCheckpoint(s.Dir, s.Checkpoint, s.Log)
	if err != nil {
		return d, err
	}
	backend, _, err := d.Config.Engine.open(s.Log)
	if err != nil {
		return d, err
	}
	defer backend.Finalize()
	shape, err := d.Config.Data.shape(ctx)
	if err != nil {
		return d, err
	}
	model, err := ebm.NewSampler(backend, d.Config.Model, shape, uint64(info.Seed.Stream(streamModel)))
	if err != nil {
		return d, err
	}
	defer model.Close()
	if err := restoreModel(model, c); err != nil {
		return d, err
	}
	seed := uint64(info.Seed.Stream(streamDrawn))
	if s.Seed != nil {
		seed = uint64(*s.Seed)
	}
	x, err := model.Draw(ctx, s.N, seed, nil)
	if err != nil {
		return d, err
	}
	d.Update = c.Manifest.Step
	d.Images, err = dataset.FromFloats("samples of "+info.ID, x, shape.Height, shape.Width, shape.Channels)
	return d, err
}

// shape is that of the pictures, which the data set itself says.
func (d Data) shape(ctx context.Context) (ebm.Shape, error) {
	m, err := d.open(ctx, "test", nil)
	if err != nil {
		return ebm.Shape{}, fmt.Errorf("what the run learnt from says the size of its pictures: %w", err)
	}
	return shapeOf(m), nil
}

// WriteGrid writes the samples as a PNG.
func (d Drawn) WriteGrid(path string, columns, zoom int) error {
	if d.Len() == 0 {
		return errors.New("experiments: a grid of no pictures")
	}
	return picture.Save(path, func(w io.Writer) error {
		return png.Encode(w, picture.Grid(d.Pictures(0, d.Len()), columns, zoom))
	})
}
