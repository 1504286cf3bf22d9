package fid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/internal/enginetest"
)

// golden is what testdata/golden.py wrote: the numbers of PyTorch, pytorch-fid and
// torch-fidelity.
type golden struct {
	EfficientNet      goldenFeatures `json:"efficientnet"`
	EfficientNetLite2 goldenFeatures `json:"efficientnet_lite2"`
	Inception         struct {
		Colour     [][]float64
		ColourNorm []float64 `json:"colour_norm"`
	} `json:"inception"`
	Distances struct {
		Frechet    float64 `json:"frechet"`
		FrechetFew float64 `json:"frechet_few"`
		KID        float64 `json:"kid"`
		Score      float64 `json:"inception_score"`
		ScoreStd   float64 `json:"inception_score_std"`
	} `json:"distances"`
}

type goldenFeatures struct {
	Colour, Wide [][]float64
	ColourNorm   []float64 `json:"colour_norm"`
	WideNorm     []float64 `json:"wide_norm"`
}

func readGolden(t *testing.T) golden {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// made are the pictures of golden.py.
func made(count, height, width int) *dataset.Images {
	m := &dataset.Images{Name: "made", Height: height, Width: width, Channels: 3}
	for i := range count {
		for y := range height {
			for x := range width {
				for c := range 3 {
					m.Pixels = append(m.Pixels, byte(x*(3+i)+y*(7-2*c)+(x*y*(c+1))/(4+i)+40*i))
				}
			}
		}
	}
	return m
}

// madeFeatures are those of golden.py.
func madeFeatures(n, dim int, seed uint32) Features {
	out := make([]float64, n*dim)
	state := seed
	for k := range out {
		for range 3 {
			state = state*1664525 + 1013904223
			out[k] += float64(state >> 8)
		}
		out[k] /= 3 << 24
	}
	f := Features{N: n, Dim: dim, Values: make([]float32, n*dim)}
	for i := range n {
		for d := range dim {
			f.Values[i*dim+d] = float32(out[i*dim+d]*float64(1+d%5) + 0.3*out[i*dim+dim-1-d])
		}
	}
	return f
}

// near says whether two numbers agree to a relative error.
func near(a, b, to float64) bool { return math.Abs(a-b) <= to*max(1, math.Abs(b)) }

// Ensure that distances are those of pytorch-fid and torch-fidelity on the same
// features, with fewer pictures than dimensions too.
func TestDistances(t *testing.T) {
	want := readGolden(t).Distances
	a, b, few := madeFeatures(60, 16, 1), madeFeatures(50, 16, 2), madeFeatures(10, 16, 3)
	for i := range b.Values {
		b.Values[i] += float32(0.1)
	}
	fit := func(f Features) *Gaussian {
		g, err := f.Fit()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	for name, c := range map[string]struct {
		other *Gaussian
		want  float64
		to    float64
	}{
		"enough": {fit(b), want.Frechet, 1e-6},
		// SciPy's root of a singular product is good to the root of its rounding only.
		"few": {fit(few), want.FrechetFew, 1e-5},
	} {
		got, err := Frechet(fit(a), c.other)
		if err != nil || !near(got, c.want, c.to) {
			t.Errorf("%s: Fréchet distance %.9f (%v), want %.9f", name, got, err, c.want)
		}
		back, err := Frechet(c.other, fit(a))
		if err != nil || !near(back, got, 1e-7) {
			t.Errorf("%s: %.9f one way and %.9f the other (%v)", name, got, back, err)
		}
	}
	if same, err := Frechet(fit(a), fit(a)); err != nil || math.Abs(same) > 1e-8 {
		t.Errorf("distance to itself: %g, %v", same, err)
	}
	first := Features{N: 50, Dim: 16, Values: a.Values[:50*16]}
	p, err := newPairs(first, b)
	if err != nil {
		t.Fatal(err)
	}
	if kid, _ := p.kid(); !near(kid, want.KID, 1e-9) {
		t.Errorf("KID %.12f, want %.12f", kid, want.KID)
	}
	logits := madeFeatures(40, 12, 4)
	for i := range logits.Values {
		logits.Values[i] *= 4
	}
	if score, std, err := InceptionScore(logits, 10); err != nil || !near(score, want.Score, 1e-6) || !near(std, want.ScoreStd, 1e-6) {
		t.Errorf("inception score %.9f ± %.9f (%v), want %.9f ± %.9f", score, std, err, want.Score, want.ScoreStd)
	}
}

// Ensure that the distance of Gaussians along axes is the closed form.
func TestFrechetClosedForm(t *testing.T) {
	// Mean 0 and 3; variances 1 and 4, 9 and 1: 9 + (1−3)² + (2−1)².
	corners := func(x, a, b float32) Features {
		r := float32(math.Sqrt(0.75)) // of four pictures, unbiased
		return Features{N: 4, Dim: 2, Values: []float32{x + a*r, b * r, x - a*r, b * r, x + a*r, -b * r, x - a*r, -b * r}}
	}
	a, err := corners(0, 1, 2).Fit()
	if err != nil {
		t.Fatal(err)
	}
	b, err := corners(3, 3, 1).Fit()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Frechet(a, b); err != nil || !near(got, 14, 1e-6) {
		t.Errorf("%g, %v; want 14", got, err)
	}
}

// Ensure that KID of equal distributions is zero within its standard error, that the
// error is about what estimates of other draws vary by, and that features that are no
// numbers are an error.
func TestKIDUnbiased(t *testing.T) {
	var estimates, errors []float64
	for seed := range uint32(12) {
		p, err := newPairs(madeFeatures(200, 8, 100+seed), madeFeatures(200, 8, 500+seed))
		if err != nil {
			t.Fatal(err)
		}
		estimate, standardError := p.kid()
		estimates, errors = append(estimates, estimate), append(errors, standardError)
	}
	mean, spread := stat.MeanStdDev(estimates, nil)
	told := stat.Mean(errors, nil)
	if math.Abs(mean) > 3*spread/math.Sqrt(12) || !(told > spread/3 && told < 3*spread) {
		t.Errorf("KID of equal distributions: %g, varies by %g, said to vary by %g", mean, spread, told)
	}
	a := madeFeatures(40, 8, 5)
	a.Values[9] = float32(math.NaN())
	if _, err := a.Fit(); err == nil || !strings.Contains(err.Error(), "feature 1 of image 1") {
		t.Errorf("a value that is no number: %v", err)
	}
}

// Ensure that the distance extrapolated to infinitely many is far nearer to the true one
// than that of the number at hand, for equal and for other distributions.
func TestFrechetInfinite(t *testing.T) {
	normal := func(n int, shift float64, seed uint64) Features {
		rng := rand.New(rand.NewPCG(seed, 0))
		f := Features{N: n, Dim: 24, Values: make([]float32, n*24)}
		for i := range f.Values {
			f.Values[i] = float32(shift + rng.NormFloat64())
		}
		return f
	}
	for _, shift := range []float64{0, 0.5} {
		a, b := normal(600, 0, 1), normal(600, shift, 2)
		want := 24 * shift * shift
		now := distance(t, a, b) - want
		infinite, err := frechetInfinite(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if !(now > 0.4) || math.Abs(infinite-want) > now/3 {
			t.Errorf("shift %g: %g of 600, %g of infinitely many; want %g", shift, now+want, infinite, want)
		}
	}
	if _, err := frechetInfinite(normal(5, 0, 1), normal(5, 0, 2)); err == nil {
		t.Error("of five pictures")
	}
}

// Ensure that precision falls where samples are none of the real ones, recall where they
// are few of them, and that both are 1 for the same pictures.
func TestPrecisionRecall(t *testing.T) {
	// Real pictures at 0, 1, … 9 and at 100, 101, … 109.
	row := func(values ...float32) Features { return Features{N: len(values), Dim: 1, Values: values} }
	var real, left, beyond []float32
	for n := range 10 {
		i := float32(n)
		real = append(real, i, 100+i)
		left = append(left, i+0.25, i+0.75)
		beyond = append(beyond, i+0.5, 1000+i)
	}
	for name, c := range map[string]struct {
		drawn             []float32
		precision, recall float64
	}{"the same": {real, 1, 1}, "one half": {left, 1, 0.5}, "half of one half": {beyond, 0.5, 0.5}} {
		p, err := newPairs(row(real...), row(c.drawn...))
		if err != nil {
			t.Fatal(err)
		}
		if precision, recall := p.precisionRecall(); !near(precision, c.precision, 1e-9) || !near(recall, c.recall, 1e-9) {
			t.Errorf("%s: precision %g and recall %g, want %g and %g", name, precision, recall, c.precision, c.recall)
		}
	}
}

// Ensure that both formats of torch.save are read.
func TestReadWeights(t *testing.T) {
	for _, name := range []string{"small-zip.pth", "small-legacy.pth"} {
		w, err := readWeights(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		a, b := w["a"], w["b.c"]
		if len(w) != 2 || len(a.Shape) != 2 || a.Shape[1] != 3 || a.Data[5] != 5 || b.Data[0] != -1.5 {
			t.Errorf("%s: %v", name, w)
		}
	}
	if _, err := readWeights("testdata/golden.json"); err == nil {
		t.Error("JSON is read as weights")
	}
}

// Ensure that a file of weights that was cut, at any of its bytes, is an error.
func TestCutWeights(t *testing.T) {
	for _, name := range []string{"small-zip.pth", "small-legacy.pth"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		for n := range data {
			if err := os.WriteFile(path, data[:n], 0o644); err != nil {
				t.Fatal(err)
			}
			if w, err := readWeights(path); err == nil {
				t.Fatalf("%s, %d bytes of %d: %v", name, n, len(data), w)
			}
		}
	}
}

// FuzzWeights looks for files on which the reader panics, hangs, asks for much memory, or
// has arrays of other sizes than they say.
func FuzzWeights(f *testing.F) {
	for _, name := range []string{"small-zip.pth", "small-legacy.pth"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "w.pth")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		w, err := readWeights(path)
		if err != nil {
			return
		}
		for name, a := range w {
			size := 1
			for _, d := range a.Shape {
				size *= d
			}
			if size != len(a.Data) {
				t.Errorf("%q: shape %v of %d values", name, a.Shape, len(a.Data))
			}
		}
	})
}

func lite(t testing.TB) *network { return openNetwork(t, "efficientnet-lite0") }

func openNetwork(t testing.TB, name string) *network {
	t.Helper()
	t.Chdir("..") // where .venv is
	e, err := Open(enginetest.Backend(t), name, "")
	if err != nil {
		t.Fatal(err)
	}
	return e.(*network)
}

// compare checks features against every 64th that PyTorch gave, and their norms.
func compare(t *testing.T, f Features, rows [][]float64, norms []float64) {
	t.Helper()
	var worst float64
	for i, row := range rows {
		var square float64
		for _, v := range f.Values[i*f.Dim : (i+1)*f.Dim] {
			square += float64(v) * float64(v)
		}
		worst = max(worst, math.Abs(math.Sqrt(square)-norms[i])/norms[i])
		for k, want := range row {
			worst = max(worst, math.Abs(float64(f.Values[i*f.Dim+64*k])-want))
		}
	}
	t.Logf("%d pictures: largest difference to PyTorch %.2g", len(rows), worst)
	if !(worst < 1e-4) {
		t.Errorf("%g away from PyTorch", worst)
	}
}

// Ensure that features are PyTorch's with the published weights, whatever the shape of
// the pictures, that grey ones are coloured ones of equal channels, and that a
// cancelled extraction stops. On real pictures: halves of a set are close, and blur and
// noise take it further away the more there is of them.
func TestEfficientNet(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole feature network")
	}
	want := readGolden(t).EfficientNet
	fashion, err := dataset.Open(t.Context(), dataset.Source{Name: "fashion-mnist", Path: "../dataset/testdata/fashion-mnist"})
	if err != nil {
		t.Fatal(err)
	}
	net := lite(t)
	asPyTorch(t, net, want)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := net.Features(cancelled, made(3, 32, 32), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	distort(t, net, fashion.Slice(0, 64))
}

// Ensure that the larger network's features are PyTorch's too.
func TestEfficientNetLite2(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole feature network")
	}
	want := readGolden(t).EfficientNetLite2
	net := openNetwork(t, "efficientnet-lite2")
	asPyTorch(t, net, want)
	if net.Metric() != "FD-E2" {
		t.Errorf("distance %q, want FD-E2", net.Metric())
	}
}

// asPyTorch compares the features of golden.py's pictures.
func asPyTorch(t *testing.T, net *network, want goldenFeatures) {
	t.Helper()
	for _, c := range []struct {
		images *dataset.Images
		rows   [][]float64
		norms  []float64
	}{{made(3, 32, 32), want.Colour, want.ColourNorm}, {made(2, 20, 28), want.Wide, want.WideNorm}} {
		f, err := net.Features(t.Context(), c.images, nil)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, f, c.rows, c.norms)
	}
}

// distort checks distances of real pictures.
func distort(t *testing.T, net *network, all *dataset.Images) {
	t.Helper()
	cache := t.TempDir()
	half := all.Len() / 2
	var done int
	options := Options{Cache: cache, Progress: func(n, _ int) { done = n }}
	reference, err := NewReference(t.Context(), net, all.Slice(0, half), options)
	if err != nil {
		t.Fatal(err)
	}
	if done != half {
		t.Errorf("progress ends at %d of %d", done, half)
	}
	score := func(r *Reference, m *dataset.Images) Score {
		s, err := r.Score(t.Context(), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	other := all.Slice(half, all.Len())
	floor := score(reference, other)
	if floor.Metric != "FD-E0" || floor.N != half || floor.Inception != 0 {
		t.Errorf("%+v", floor)
	}
	done = 0
	again, err := NewReference(t.Context(), net, all.Slice(0, half), options)
	if err != nil {
		t.Fatal(err)
	}
	if s := score(again, other); done != 0 || !reflect.DeepEqual(s, floor) {
		t.Errorf("from the cache: %+v, %d pictures extracted; want %+v", s, done, floor)
	}
	for name, change := range map[string]func(*dataset.Images, int) *dataset.Images{"blur": blurred, "noise": noisy} {
		last := floor
		for amount := 1; amount <= 2; amount++ {
			s := score(reference, change(other, amount))
			if !(s.Frechet > last.Frechet) || !(s.KID > last.KID) {
				t.Errorf("%s %d: %+v after %+v", name, amount, s, last)
			}
			last = s
		}
	}
	file := only(t, cache)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data[:len(data)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	var warned string
	options.Warn = func(err error) { warned = err.Error() }
	again, err = NewReference(t.Context(), net, all.Slice(0, half), options)
	if err != nil || !strings.Contains(warned, file) || !reflect.DeepEqual(score(again, other), floor) {
		t.Errorf("a cut cache: %v, warned of %q", err, warned)
	}
	// A cache that can't be written costs a warning.
	options.Cache = filepath.Join(file, "below-a-file")
	if _, err := NewReference(t.Context(), net, all.Slice(0, 8), options); err != nil || !strings.Contains(warned, "cannot cache") {
		t.Errorf("a cache that can't be written: %v, warned of %q", err, warned)
	}
}

func only(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files in the cache, %v", len(files), err)
	}
	return filepath.Join(dir, files[0].Name())
}

// blurred averages squares of side 2n+1.
func blurred(m *dataset.Images, n int) *dataset.Images {
	b := *m
	b.Pixels = bytes.Clone(m.Pixels)
	at := func(i, y, x, c int) int { return ((i*m.Height+y)*m.Width+x)*m.Channels + c }
	for i := range m.Len() {
		for y := range m.Height {
			for x := range m.Width {
				for c := range m.Channels {
					var sum, count int
					for v := max(0, y-n); v <= min(m.Height-1, y+n); v++ {
						for u := max(0, x-n); u <= min(m.Width-1, x+n); u++ {
							sum, count = sum+int(m.Pixels[at(i, v, u, c)]), count+1
						}
					}
					b.Pixels[at(i, y, x, c)] = byte(sum / count)
				}
			}
		}
	}
	return &b
}

// noisy adds up to ±20·n to each byte.
func noisy(m *dataset.Images, n int) *dataset.Images {
	b := *m
	b.Pixels = bytes.Clone(m.Pixels)
	state := uint32(1)
	for i, p := range m.Pixels {
		state = state*1664525 + 1013904223
		b.Pixels[i] = byte(min(max(int(p)+int(state>>16)%(40*n+1)-20*n, 0), 255))
	}
	return &b
}

// Ensure that what cannot be opened says what is missing or wrong.
func TestOpenErrors(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	wrong := filepath.Join(t.TempDir(), "weights.pth")
	if err := os.WriteFile(wrong, []byte("none"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ extractor, path, want string }{
		"an unknown one":      {"vgg", "", "want efficientnet-lite0, efficientnet-lite2 or inception"},
		"no weights":          {"inception", "", "pytorch-fid/releases"},
		"other weights":       {"inception", wrong, "want 6726825d"},
		"a file that is none": {"inception", filepath.Join(t.TempDir(), "x"), "no such file"},
	} {
		if _, err := Open(nil, c.extractor, c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q in it", name, err, c.want)
		}
	}
}

// Ensure that a set of one image is named before anything is computed: it has no
// covariance.
func TestOneImage(t *testing.T) {
	one := &dataset.Images{Name: "folder x", Height: 1, Width: 1, Channels: 1, Pixels: []byte{0}}
	const want = "folder x: 1 images have no covariance, want at least 2"
	if _, err := NewReference(t.Context(), nil, one, Options{}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the data: %v", err)
	}
	if _, err := new(Reference).Score(t.Context(), one, nil); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the samples: %v", err)
	}
}
