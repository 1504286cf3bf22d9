package experiments

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/images/fid"
)

// A ScoreRow is one line of a table of distances.
type ScoreRow struct {
	Name string `json:"name"`
	fid.Score
}

// Controls say what a distance means: how far from the data pictures are that no model
// drew. All rows are of equally many pictures, and against the same reference.
type Controls struct {
	Reference *fid.Reference
	Data      *dataset.Images // that the model learnt from, or that samples are compared with
	HeldOut   *dataset.Images // of the same kind, but not among Data; nil: there are none
	N         int             // pictures of a row
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
	// normals of the control: as many as a mixture's components by default.
	controlNormals = 32
	// grouped pictures at most: Lloyd's algorithm takes a while.
	controlGrouped = 2000
	controlSeed    = 1
)

// Rows measures noise; training pictures each replaced by a draw from the normal
// distribution of its group of alike ones; and held-out pictures, the floor. They are
// measured once for a data set and kept in the cache.
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

// nearestNormals are the first n pictures, and as many more times as it takes, as
// ebm.NearestNormals draws them.
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

// HeldOut reads the images of the run's data set that it did not learn from.
func (s ImageSampling) HeldOut(ctx context.Context) (*dataset.Images, error) {
	c, err := RereadImages(s.Dir, s.Sets)
	if err != nil {
		return nil, err
	}
	m, err := c.Data.heldOut(ctx, "train")
	if err == nil && m == nil {
		err = fmt.Errorf("%s learnt from all images of %s: no held-out images to score; name others", s.Dir, c.Data.Path)
	}
	return m, err
}

// heldOut are pictures of the split that was not learnt from; nil where a data set has
// no other.
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
