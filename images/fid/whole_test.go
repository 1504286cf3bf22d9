package fid

import (
	"flag"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/images/dataset"
)

var (
	wholeSet      = flag.String("set", "", "TestWholeSet: fashion-mnist, mnist or cifar10; its test split is measured")
	wholePath     = flag.String("set-path", "", "TestWholeSet: its folder or archive")
	distorted     = flag.Int("distorted", 2000, "TestWholeSet: pictures to distort")
	benchThreads  = flag.Int("threads", 1, "BenchmarkFeatures: processors")
	benchPictures = flag.Int("pictures", 64, "BenchmarkFeatures: pictures at a time")
)

// Ensure, on a whole test split, that its halves are as near as two draws of one normal
// distribution of the same size are (the bias floor), and that the distance grows
// with each amount of blur and of noise. Minutes to half an hour: asked for by -set.
func TestWholeSet(t *testing.T) {
	if *wholeSet == "" {
		t.Skip("asked for by -set NAME [-set-path FOLDER]")
	}
	all, err := dataset.Open(t.Context(), dataset.Source{Name: *wholeSet, Path: *wholePath, Split: "test"})
	if err != nil {
		t.Fatal(err)
	}
	net := lite(t)
	features := func(m *dataset.Images) Features {
		f, err := net.Features(t.Context(), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	half := all.Len() / 2
	whole := features(all)
	first, second := whole.rows(0, half), whole.rows(half, 2*half)
	halves := distance(t, first, second)
	floor := distance(t, likeNormal(t, whole, half, 1), likeNormal(t, whole, half, 2))
	t.Logf("%s: halves of %d: %s %.3f; draws of a normal distribution %.3f", all.Name, half, net.Metric(), halves, floor)
	if !(halves > 0.8*floor && halves < 1.2*floor) {
		t.Errorf("halves %g apart, the floor is %g", halves, floor)
	}

	n := min(*distorted, half)
	clean := distance(t, first, second.rows(0, n))
	t.Logf("%d pictures of the second half: %.3f", n, clean)
	for _, c := range []struct {
		name   string
		change func(*dataset.Images, int) *dataset.Images
	}{{"blur, squares of", blurred}, {"noise, up to ±20 ×", noisy}} {
		last := clean
		for amount := 1; amount <= 3; amount++ {
			d := distance(t, first, features(c.change(all.Slice(half, half+n), amount)))
			t.Logf("%s %d: %.3f", c.name, amount, d)
			if !(d > last) {
				t.Errorf("%s %d: %g after %g", c.name, amount, d, last)
			}
			last = d
		}
	}
}

func distance(t *testing.T, a, b Features) float64 {
	t.Helper()
	var fits [2]*Gaussian
	for i, f := range []Features{a, b} {
		var err error
		if fits[i], err = f.Fit(); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Frechet(fits[0], fits[1])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// likeNormal draws n rows of the normal distribution with a set's mean and covariance.
func likeNormal(t *testing.T, f Features, n int, seed uint64) Features {
	t.Helper()
	g, err := f.Fit()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	rank, _ := g.factor.Dims()
	z, row := mat.NewVecDense(rank, nil), mat.NewVecDense(f.Dim, nil)
	out := Features{N: n, Dim: f.Dim, Values: make([]float32, n*f.Dim)}
	for i := range n {
		for k := range rank {
			z.SetVec(k, rng.NormFloat64())
		}
		row.MulVec(g.factor.T(), z)
		for d, mean := range g.Mean {
			out.Values[i*f.Dim+d] = float32(mean + row.AtVec(d))
		}
	}
	return out
}

// How long the features of one picture take.
func BenchmarkFeatures(b *testing.B) {
	if *benchThreads > 0 {
		if err := engine.SetThreads(*benchThreads); err != nil {
			b.Fatal(err)
		}
	}
	net := lite(b)
	m := made(*benchPictures, 28, 28)
	if _, err := net.Features(b.Context(), m, nil); err != nil {
		b.Fatal(err)
	}
	before := processorTime(b)
	for b.Loop() {
		if _, err := net.Features(b.Context(), m, nil); err != nil {
			b.Fatal(err)
		}
	}
	count := float64(m.Len() * b.N)
	b.ReportMetric(count/b.Elapsed().Seconds(), "pictures/s")
	b.ReportMetric(1000*(processorTime(b)-before).Seconds()/count, "processor-ms/picture")
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
