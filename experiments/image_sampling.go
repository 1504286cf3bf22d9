package experiments

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/gomlx/compute"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/internal/picture"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// GalleryOf is the folder of a run's images.
func GalleryOf(dir string) string { return filepath.Join(dir, galleryDir) }

// An ImageSampling draws from the model of a run.
type ImageSampling struct {
	Dir        string
	Checkpoint string // last, best, or an update
	N          int
	Seed       *runs.Seed // nil: derived from the run's seed
	Start      bool       // sample only the initial distribution, with the same random numbers
	Sets       []string
	Log        *slog.Logger
	Backend    compute.Backend // nil: one of its own, as the run's configuration says
}

// Drawn are samples of a run's model.
type Drawn struct {
	*dataset.Images
	Config ImageConfig
	Update int64 // of the checkpoint
}

// Draw draws N samples.
func (s ImageSampling) Draw(ctx context.Context) (Drawn, error) {
	m, err := s.Open(ctx)
	if err != nil {
		return Drawn{}, err
	}
	defer m.Close()
	return m.Draw(ctx, s.N, s.Start)
}

// An ImageModel is the model of a run at a checkpoint. The caller must close it.
type ImageModel struct {
	*ebm.Model
	Config ImageConfig
	Info   runs.Info
	Update int64 // of the checkpoint

	seed       uint64 // of what is drawn
	dir, which string
	path       string // of the checkpoint
	tried      string // that Newer looked at last
}

// Open loads the model.
func (s ImageSampling) Open(ctx context.Context) (*ImageModel, error) {
	m := &ImageModel{dir: s.Dir, which: s.Checkpoint}
	var err error
	if m.Info, err = runs.ReadInfo(s.Dir); err != nil {
		return nil, err
	}
	if m.Config, err = RereadImages(s.Dir, s.Sets); err != nil {
		return nil, err
	}
	c, err := runs.OpenCheckpoint(s.Dir, s.Checkpoint, s.Log)
	if err != nil {
		return nil, err
	}
	shape, err := m.Config.Data.shape(ctx)
	if err != nil {
		return nil, err
	}
	backend := s.Backend
	if backend == nil {
		if backend, _, err = m.Config.Engine.open(s.Log); err != nil {
			return nil, err
		}
	}
	m.Model, err = ebm.NewSampler(backend, m.Config.Model, shape, uint64(m.Info.Seed.Stream(streamModel)))
	if err != nil {
		return nil, err
	}
	if err := m.Adopt(c); err != nil {
		m.Close()
		return nil, err
	}
	m.seed = uint64(m.Info.Seed.Stream(streamDrawn))
	if s.Seed != nil {
		m.seed = uint64(*s.Seed)
	}
	return m, nil
}

// Newer opens the checkpoint that the run has now, if it is another one than the model's
// and was not looked at before; nil: it is not. It may run while another goroutine uses
// the model.
func (m *ImageModel) Newer() (*checkpoint.Checkpoint, error) {
	path, err := pointed(m.dir, m.which)
	if err != nil || path == "" || path == m.path || path == m.tried {
		return nil, err
	}
	m.tried = path
	c, err := runs.OpenCheckpoint(m.dir, m.which, slog.New(slog.DiscardHandler))
	if err != nil || c.Path == m.path {
		return nil, err
	}
	return c, nil
}

// Adopt makes the model the one of a checkpoint.
func (m *ImageModel) Adopt(c *checkpoint.Checkpoint) error {
	if err := restoreModel(m.Model, c); err != nil {
		return err
	}
	m.Update, m.path = c.Manifest.Step, c.Path
	return nil
}

// Draw draws n samples, or n samples of the initial distribution if start is set.
func (m *ImageModel) Draw(ctx context.Context, n int, start bool) (Drawn, error) {
	name, x, err := "samples of "+m.Info.ID, []float32(nil), error(nil)
	if start {
		name = "start of " + m.Info.ID
		x, err = m.Model.Start(ctx, n, m.seed)
	} else {
		x, err = m.Model.Draw(ctx, n, m.seed, nil)
	}
	if err != nil {
		return Drawn{}, err
	}
	s := m.Shape()
	images, err := dataset.FromFloats(name, x, s.Height, s.Width, s.Channels)
	return Drawn{images, m.Config, m.Update}, err
}

// shape is the shape of the images, taken from the data set.
func (d Data) shape(ctx context.Context) (ebm.Shape, error) {
	m, err := d.open(ctx, "test", nil)
	if err != nil {
		return ebm.Shape{}, fmt.Errorf("cannot read the run's data set, which determines the image size: %w", err)
	}
	return shapeOf(m), nil
}

// WriteGrid writes the samples as a PNG.
func (d Drawn) WriteGrid(path string, columns, zoom int) error {
	if d.Len() == 0 {
		return errors.New("experiments: a grid needs at least one image")
	}
	return picture.Save(path, func(w io.Writer) error {
		return png.Encode(w, picture.Grid(d.Pictures(0, d.Len()), columns, zoom))
	})
}
