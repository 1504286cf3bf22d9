package experiments

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/images/fid"
)

// A ScoreRow is one row of a table of distances.
type ScoreRow struct {
	Name string `json:"name"`
	fid.Score
}

// Controls put a distance into context: they measure images that no model generated. All
// rows have the same number of images and the same reference.
type Controls struct {
	Reference *fid.Reference
	Data      *dataset.Images // training images, or the images that samples are compared with
	HeldOut   *dataset.Images // images of the same kind that are not in Data; nil: none
	N         int             // images per row
	Progress  func(done, total int)
}

// Names of the rows.
const (
	NoiseControl   = "noise"
	StartControl   = "start alone"
	NormalsControl = "nearest normals"
	HeldOutControl = "held-out pictures"
)

const (
	// controlNormals is the default number of mixture components.
	controlNormals = 32
	// controlGrouped limits the images that Lloyd's algorithm groups, which is slow.
	controlGrouped = 2000
	controlSeed    = 1
)

// Rows measures noise, training images replaced by draws from the normal distribution of
// their group of similar images, and held-out images, the best achievable distance.
// Results are cached per data set.
func (c Controls) Rows(ctx context.Context) ([]ScoreRow, error) {
	rng := rand.New(rand.NewPCG(controlSeed, 0))
	noise := *c.Data
	noise.Name, noise.Labels, noise.Pixels = NoiseControl, nil, make([]byte, c.N*c.Data.Size())
	for i := range noise.Pixels {
		noise.Pixels[i] = byte(rng.UintN(256))
	}
	normals, err := nearestNormals(c.Data, c.N)
	if err != nil {
		return nil, err
	}
	sets := []named{{NoiseControl, &noise}, {NormalsControl, normals}}
	if c.HeldOut != nil && c.HeldOut.Len() >= 2 {
		sets = append(sets, named{HeldOutControl, c.HeldOut.Slice(0, min(c.N, c.HeldOut.Len()))})
	}
	var rows []ScoreRow
	for _, s := range sets {
		score, err := c.Reference.ScoreKept(ctx, s.images, c.Progress)
		if err != nil {
			return nil, err
		}
		rows = append(rows, ScoreRow{s.name, score})
	}
	return rows, nil
}

type named struct {
	name   string
	images *dataset.Images
}

// nearestNormals draws n images by ebm.NearestNormals from the first training images,
// repeatedly if needed.
func nearestNormals(data *dataset.Images, n int) (*dataset.Images, error) {
	some := min(n, data.Len(), controlGrouped)
	pictures := make([]float32, some*data.Size())
	data.Floats(pictures, 0, some)
	var all []float32
	for round := uint64(0); len(all) < n*data.Size(); round++ {
		all = append(all, ebm.NearestNormals(pictures, data.Size(), min(controlNormals, some), controlSeed+round)...)
	}
	return dataset.FromFloats(NormalsControl, all[:n*data.Size()], data.Height, data.Width, data.Channels)
}

// HeldOut reads the images of the run's data set that it was not trained on.
func (s ImageSampling) HeldOut(ctx context.Context) (*dataset.Images, error) {
	c, err := RereadImages(s.Dir, s.Sets)
	if err != nil {
		return nil, err
	}
	m, err := c.Data.heldOut(ctx, "train")
	if err == nil && m == nil {
		err = fmt.Errorf("%s was trained on all images of %s: there are no held-out images to score; choose other images", s.Dir, c.Data.Path)
	}
	return m, err
}

// heldOut returns images of the split that was not trained on; nil if the data set has no
// other.
func (d Data) heldOut(ctx context.Context, learnt string) (*dataset.Images, error) {
	if d.Name == "folder" {
		return nil, nil
	}
	other := "test"
	if learnt == other {
		other = "train"
	}
	return d.open(ctx, other, nil)
}
