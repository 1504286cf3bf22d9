package fid

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"gonum.org/v1/gonum/mat"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// A Reference holds an extractor's statistics of a data set.
type Reference struct {
	extractor Extractor
	gaussian  *Gaussian
	some      Features // features of the first images, for pairs and for extrapolation

	key     string // identifies the data set and extractor in the cache
	options Options
}

// Options of a Reference. The zero value uses the user's cache folder.
type Options struct {
	Cache   string // folder of statistics; empty: stein/fid in the user's cache folder
	NoCache bool   // do not use a cache
	// Warn receives errors of reading or writing the cache, which are not fatal; may be
	// nil.
	Warn     func(error)
	Progress func(done, total int)
}

// keptFeatures is the number of images whose features a Reference keeps.
const keptFeatures = 5000

// NewReference extracts the features of a data set, or reads their statistics from the
// cache. The cache key depends on the images' bytes, the extractor and its weights.
func NewReference(ctx context.Context, e Extractor, images *dataset.Images, o Options) (*Reference, error) {
	keyed, ok := e.(interface{ cacheKey() string })
	if o.NoCache || !ok { // only this package's extractors have a reliable key
		return newReference(ctx, e, images, o)
	}
	if o.Cache == "" {
		o.Cache = cacheFolder()
	}
	key := fmt.Sprintf("2/%s/%s", keyed.cacheKey(), images.Key())
	path := o.path(key, ".safetensors")
	r, err := readReference(path, e)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.warn(fmt.Errorf("%w; computing the statistics again", err))
	}
	if err != nil {
		if r, err = newReference(ctx, e, images, o); err != nil {
			return nil, err
		}
		if err := r.write(path); err != nil {
			o.warn(fmt.Errorf("cannot cache the statistics, they will be computed again: %w", err))
		}
	}
	r.key, r.options = key, o
	return r, nil
}

// path is the cache file of a key.
func (o Options) path(key, ending string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(o.Cache, hex.EncodeToString(sum[:16])+ending)
}

func (o Options) warn(err error) {
	if o.Warn != nil {
		o.Warn(err)
	}
}

// enough refuses a set without a covariance before its features are computed.
func enough(images *dataset.Images) error {
	if n := images.Len(); n < 2 {
		return fmt.Errorf("fid: %s: %d images have no covariance, want at least 2", images.Name, n)
	}
	return nil
}

func newReference(ctx context.Context, e Extractor, images *dataset.Images, o Options) (*Reference, error) {
	if err := enough(images); err != nil {
		return nil, err
	}
	f, err := e.Features(ctx, images, o.Progress)
	if err != nil {
		return nil, err
	}
	g, err := f.Fit()
	if err != nil {
		return nil, err
	}
	kept := min(f.N, keptFeatures)
	return &Reference{extractor: e, gaussian: g, some: f.rows(0, kept)}, nil
}

// The arrays in a cached Reference.
const (
	cachedCount    = "/count"
	cachedMean     = "/mean"
	cachedFactor   = "/factor"
	cachedFeatures = "/features"
)

// write renames the file to its final name when it is complete.
func (r *Reference) write(path string) (err error) {
	dim := len(r.gaussian.Mean)
	rank, _ := r.gaussian.factor.Dims()
	store := model.NewStore()
	for name, value := range map[string]*tensors.Tensor{
		cachedCount:    tensors.FromScalar(int64(r.gaussian.N)),
		cachedMean:     tensors.FromFlatDataAndDimensions(r.gaussian.Mean, dim),
		cachedFactor:   tensors.FromFlatDataAndDimensions(r.gaussian.factor.RawMatrix().Data, rank, dim),
		cachedFeatures: tensors.FromFlatDataAndDimensions(r.some.Values, r.some.N, dim),
	} {
		if _, err := store.CreateVariable(name, value); err != nil {
			return fmt.Errorf("fid: cache: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("fid: cache: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "*.part")
	if err != nil {
		return fmt.Errorf("fid: cache: %w", err)
	}
	defer os.Remove(file.Name()) // no-op after a successful rename
	out := bufio.NewWriter(file)
	err = errors.Join(checkpoint.WriteStore(out, store), out.Flush(), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("fid: cache %s: %w", path, err)
	}
	return nil
}

func readReference(path string, e Extractor) (*Reference, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("fid: cache: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("fid: cache: %w", err)
	}
	r, err := parseReference(bufio.NewReader(file), info.Size(), e)
	if err != nil {
		return nil, fmt.Errorf("fid: cache %s: %w", path, err)
	}
	return r, nil
}

func parseReference(in *bufio.Reader, size int64, e Extractor) (*Reference, error) {
	store, dim := model.NewStore(), e.Dim()
	if err := checkpoint.ReadStore(in, size, store); err != nil {
		return nil, err
	}
	values := map[string]*tensors.Tensor{}
	for name, dims := range map[string][]int{cachedCount: {}, cachedMean: {dim}, cachedFactor: {-1, dim}, cachedFeatures: {-1, dim}} {
		v := store.GetVariable(name)
		if v == nil || v.Shape().Rank() != len(dims) || len(dims) > 0 && v.Shape().Dim(-1) != dim {
			return nil, fmt.Errorf("%s of shape %v is missing", name, dims)
		}
		value, err := v.Value()
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	var err error
	flat := func(name string) []float64 {
		v, failed := tensors.CopyFlatData[float64](values[name])
		err = errors.Join(err, failed)
		return v
	}
	count, e1 := tensors.CopyFlatData[int64](values[cachedCount])
	some, e2 := tensors.CopyFlatData[float32](values[cachedFeatures])
	g := &Gaussian{Mean: flat(cachedMean)}
	factor := flat(cachedFactor)
	if err = errors.Join(err, e1, e2); err != nil {
		return nil, err
	}
	g.N, g.factor = int(count[0]), mat.NewDense(len(factor)/dim, dim, factor)
	return &Reference{extractor: e, gaussian: g, some: Features{N: len(some) / dim, Dim: dim, Values: some}}, nil
}

// Score compares images with the reference. progress may be nil.
func (r *Reference) Score(ctx context.Context, images *dataset.Images, progress func(done, total int)) (Score, error) {
	if err := enough(images); err != nil {
		return Score{}, err
	}
	f, err := r.extractor.Features(ctx, images, progress)
	if err != nil {
		return Score{}, err
	}
	return r.ScoreFeatures(f)
}

// ScoreKept is Score with a cache, if the Reference has one, for images that are measured
// repeatedly, such as controls.
func (r *Reference) ScoreKept(ctx context.Context, images *dataset.Images, progress func(done, total int)) (Score, error) {
	if r.key == "" {
		return r.Score(ctx, images, progress)
	}
	path := r.options.path(fmt.Sprintf("score 1/%s/%s", r.key, images.Key()), ".json")
	var s Score
	if data, err := os.ReadFile(path); err == nil && json.Unmarshal(data, &s) == nil && s.N == images.Len() {
		return s, nil
	}
	s, err := r.Score(ctx, images, progress)
	if err != nil {
		return s, err
	}
	data, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		r.options.warn(fmt.Errorf("fid: cannot cache a distance, it will be computed again: %w", err))
	}
	return s, nil
}

// isParts is the number of parts of the inception score.
const isParts = 10

// ScoreFeatures compares extracted features with the reference.
func (r *Reference) ScoreFeatures(f Features) (Score, error) {
	s := Score{Metric: r.extractor.Metric(), N: f.N, Reference: r.gaussian.N}
	g, err := f.Fit()
	if err != nil {
		return s, err
	}
	if s.Frechet, err = Frechet(r.gaussian, g); err != nil {
		return s, err
	}
	if infinite, err := frechetInfinite(f, r.some); err == nil {
		s.Infinite = &infinite
	}
	p, err := newPairs(r.some, f)
	if err != nil {
		return s, err
	}
	s.KID, s.KIDError = p.kid()
	s.Precision, s.Recall = p.precisionRecall()
	if c, ok := r.extractor.(Classifier); ok && f.N >= isParts {
		if s.Inception, s.InceptionStd, err = InceptionScore(c.Logits(f), isParts); err != nil {
			return s, err
		}
	}
	return s, nil
}
