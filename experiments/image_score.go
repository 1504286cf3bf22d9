package experiments

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/internal/picture"
)

// Scores are energies of images by a model: f, the larger the more like what it learnt
// from.
type Scores struct {
	Name  string
	F     []float64 // [N]
	Ranks []int     // 1 is the largest f
}

// Score gives the energies of images, which are brought to the model's shape.
func (m *ImageModel) Score(images *dataset.Images) (Scores, error) {
	images, err := m.Fit(images)
	if err != nil {
		return Scores{}, err
	}
	x := make([]float32, len(images.Pixels))
	images.Floats(x, 0, images.Len())
	s := Scores{Name: images.Name}
	if s.F, err = m.Energies(x); err != nil {
		return s, err
	}
	if s.F == nil {
		return s, errors.New("the run's model has no energy: glow-likelihood can't score")
	}
	order := make([]int, len(s.F))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case s.F[a] > s.F[b]:
			return -1
		case s.F[a] < s.F[b]:
			return 1
		}
		return 0
	})
	s.Ranks = make([]int, len(order))
	for rank, i := range order {
		s.Ranks[i] = rank + 1
	}
	return s, nil
}

// Fit brings images to the model's size and channels; what has another form, or too few
// pixels, is an error that says both sizes.
func (m *ImageModel) Fit(images *dataset.Images) (*dataset.Images, error) {
	s := m.Shape()
	fitted, err := images.As(s.Height, s.Channels)
	if err != nil {
		return nil, fmt.Errorf("%s: images of %d×%d with %d channels for a model of %d×%d with %d: %w", images.Name,
			images.Height, images.Width, images.Channels, s.Height, s.Width, s.Channels, err)
	}
	return fitted, nil
}

// AUROC is the chance that an image of the first scores has a larger f than one of the
// second, ties counting half: 1 where f tells them apart, 0.5 where it does not.
func AUROC(first, second []float64) float64 {
	type scored struct {
		f     float64
		first bool
	}
	var all []scored
	for _, f := range first {
		all = append(all, scored{f, true})
	}
	for _, f := range second {
		all = append(all, scored{f, false})
	}
	slices.SortFunc(all, func(a, b scored) int {
		switch {
		case a.f < b.f:
			return -1
		case a.f > b.f:
			return 1
		}
		return 0
	})
	var below, wins float64 // images of second with a smaller f
	for at := 0; at < len(all); {
		end := at
		var ours, theirs float64
		for end < len(all) && all[end].f == all[at].f {
			if all[end].first {
				ours++
			} else {
				theirs++
			}
			end++
		}
		wins += ours * (below + theirs/2)
		below += theirs
		at = end
	}
	return wins / float64(len(first)) / float64(len(second))
}

// A Damage is what restoration mends.
type Damage struct {
	Mask  string  // none, left, right, top, bottom or middle: the half, or the inner square, that is missing
	Noise float64 // standard deviation of normal noise that is added; values are in [−1, 1]
}

// Known says which values of an image the mask leaves, [H·W·C].
func (d Damage) Known(height, width, channels int) ([]bool, error) {
	known := make([]bool, height*width*channels)
	for i := range known {
		y, x := i/channels/width, i/channels%width
		switch d.Mask {
		case "none", "":
			known[i] = true
		case "left":
			known[i] = x >= width/2
		case "right":
			known[i] = x < width/2
		case "top":
			known[i] = y >= height/2
		case "bottom":
			known[i] = y < height/2
		case "middle":
			known[i] = y < height/4 || y >= height-height/4 || x < width/4 || x >= width-width/4
		default:
			return nil, fmt.Errorf("mask %q: want none, left, right, top, bottom or middle", d.Mask)
		}
	}
	return known, nil
}

// Apply adds the noise and greys out what is missing, for seed.
func (d Damage) Apply(x []float32, known []bool, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range x {
		x[i] += float32(d.Noise * rng.NormFloat64())
		if !known[i%len(known)] {
			x[i] = 0
		}
	}
}

// WriteColumns writes sets of equally many images beside each other as a PNG, image i
// of each in row i.
func WriteColumns(path string, zoom int, sets ...*dataset.Images) error {
	if len(sets) == 0 || sets[0].Len() == 0 {
		return errors.New("experiments: a grid of no images")
	}
	mixed := *sets[0]
	mixed.Pixels = nil
	for i := range sets[0].Len() {
		for _, s := range sets {
			mixed.Pixels = append(mixed.Pixels, s.Slice(i, i+1).Pixels...)
		}
	}
	return picture.Save(path, func(w io.Writer) error {
		return png.Encode(w, picture.Grid(mixed.Pictures(0, mixed.Len()), len(sets), zoom))
	})
}

// Repaired are images as they were, damaged, and restored.
type Repaired struct {
	Whole, Damaged, Restored *dataset.Images
}

// Restore damages images and restores them by as many runs of the model's sampler as
// rounds says.
func (m *ImageModel) Restore(ctx context.Context, images *dataset.Images, d Damage, rounds int, progress func(done, total int)) (r Repaired, err error) {
	if r.Whole, err = m.Fit(images); err != nil {
		return r, err
	}
	s := m.Shape()
	known, err := d.Known(s.Height, s.Width, s.Channels)
	if err != nil {
		return r, err
	}
	y := make([]float32, len(r.Whole.Pixels))
	r.Whole.Floats(y, 0, r.Whole.Len())
	d.Apply(y, known, m.seed)
	if r.Damaged, err = dataset.FromFloats(images.Name, y, s.Height, s.Width, s.Channels); err != nil {
		return r, err
	}
	x, err := m.Model.Restore(ctx, y, ebm.Restoration{Known: known, Noise: d.Noise, Rounds: rounds}, m.seed, progress)
	if err != nil {
		return r, err
	}
	r.Restored, err = dataset.FromFloats(images.Name, x, s.Height, s.Width, s.Channels)
	return r, err
}

// MeanSquare is the mean squared difference of the values of two sets, in [−1, 1].
func MeanSquare(a, b *dataset.Images) float64 {
	var sum float64
	for i, p := range a.Pixels {
		diff := (float64(p) - float64(b.Pixels[i])) / 128
		sum += diff * diff
	}
	return sum / float64(len(a.Pixels))
}
