package fid

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// pairsMost limits the rows used of each set: 2,000 rows of 1,280 features take half a
// minute on one core and 100 MB.
const pairsMost = 2000

// pairs are the scalar products of all rows of two sets x and y of N features, [N, N]
// each.
type pairs struct {
	n, dim     int
	xx, yy, xy []float64
}

// newPairs uses the first rows of each, as many as the smaller set has.
func newPairs(x, y Features) (*pairs, error) {
	if x.Dim != y.Dim {
		return nil, fmt.Errorf("fid: features have different dimensions: %d and %d", x.Dim, y.Dim)
	}
	n := min(x.N, y.N, pairsMost)
	if n < 2 {
		return nil, fmt.Errorf("fid: %d images have no pairs: want at least 2", n)
	}
	a, b := x.first(n), y.first(n)
	return &pairs{n, x.Dim, products(a, a, x.Dim), products(b, b, x.Dim), products(a, b, x.Dim)}, nil
}

// first returns the first n rows as float64.
func (f Features) first(n int) []float64 {
	values := make([]float64, n*f.Dim)
	for i := range values {
		values[i] = float64(f.Values[i])
	}
	return values
}

func products(x, y []float64, dim int) []float64 {
	n := len(x) / dim
	out := make([]float64, n*n)
	rows := func(v []float64, columns int) blas64.General {
		return blas64.General{Rows: n, Cols: columns, Stride: columns, Data: v}
	}
	blas64.Gemm(blas.NoTrans, blas.Trans, 1, rows(x, dim), rows(y, dim), 0, rows(out, n))
	return out
}

// kidGroups is the number of groups of the jackknife.
const kidGroups = 20

// kid is the unbiased estimate of the squared maximum mean discrepancy with the kernel
// (x·y/D + 1)³ (Bińkowski et al. 2018), and its standard error by the jackknife over
// groups of images.
func (p *pairs) kid() (estimate, standardError float64) {
	groups := min(kidGroups, p.n/2)
	of := func(i int) int { return i * groups / p.n }
	// within[g·G+h]: sums of the kernel over pairs of different images of groups g and h
	// of the same set, both sets together; across: of different sets.
	within, across := make([]float64, groups*groups), make([]float64, groups*groups)
	count := make([]float64, groups)
	kernel := func(product float64) float64 { k := product/float64(p.dim) + 1; return k * k * k }
	for i := range p.n {
		count[of(i)]++
		for j := range p.n {
			at, pair := of(i)*groups+of(j), i*p.n+j
			across[at] += kernel(p.xy[pair])
			if i != j {
				within[at] += kernel(p.xx[pair]) + kernel(p.yy[pair])
			}
		}
	}
	without := func(left int) float64 {
		var same, other, n float64
		for g := range groups {
			if g == left {
				continue
			}
			n += count[g]
			for h := range groups {
				if h != left {
					same, other = same+within[g*groups+h], other+across[g*groups+h]
				}
			}
		}
		return same/(n*(n-1)) - 2*other/(n*n)
	}
	if groups < 2 || p.n-p.n/groups < 3 {
		return without(-1), 0
	}
	var each []float64
	var mean float64
	for g := range groups {
		each = append(each, without(g))
		mean += each[g] / float64(groups)
	}
	var square float64
	for _, e := range each {
		square += (e - mean) * (e - mean)
	}
	return without(-1), math.Sqrt(square * float64(groups-1) / float64(groups))
}

// nearestReached is the k of the k-nearest-neighbour radius in precision and recall.
const nearestReached = 3

// precisionRecall are the fraction of y within the sphere around some x, whose radius is
// the distance to its third nearest x, and the fraction of x within such a sphere around
// some y (Kynkäänniemi et al. 2019). x are real images and y samples: precision is how
// many samples look real, recall how much of the real data is covered.
func (p *pairs) precisionRecall() (precision, recall float64) {
	distance := func(i, j int) float64 { return p.xx[i*p.n+i] + p.yy[j*p.n+j] - 2*p.xy[i*p.n+j] }
	real, drawn := p.radii(p.xx), p.radii(p.yy)
	for a := range p.n {
		var isReal, isDrawn bool
		for b := range p.n {
			isReal = isReal || distance(b, a) <= real[b]
			isDrawn = isDrawn || distance(a, b) <= drawn[b]
		}
		precision += share(isReal, p.n)
		recall += share(isDrawn, p.n)
	}
	return precision, recall
}

func share(yes bool, of int) float64 {
	if yes {
		return 1 / float64(of)
	}
	return 0
}

// radii are the squared distances of each row to its third nearest other row.
func (p *pairs) radii(products []float64) []float64 {
	all := make([]float64, p.n)
	near := make([]float64, 0, p.n)
	for i := range all {
		near = near[:0]
		for j := range p.n {
			if j != i {
				near = append(near, products[i*p.n+i]+products[j*p.n+j]-2*products[i*p.n+j])
			}
		}
		slices.Sort(near)
		all[i] = near[min(nearestReached, len(near))-1]
	}
	return all
}
