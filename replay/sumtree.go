package replay

// A sumTree stores n weights and draws one in proportion in log n steps. Every inner node
// is recomputed as the sum of its two children, so that rounding errors do not
// accumulate. For any n, node i has the children 2i and 2i+1, and weight k is node n+k.
type sumTree struct {
	n    int
	node []float64 // [2n], node 1 is the root
}

func newSumTree(n int) *sumTree { return &sumTree{n, make([]float64, 2*n)} }

func (t *sumTree) total() float64        { return t.node[1] }
func (t *sumTree) weight(k int) float64  { return t.node[t.n+k] }
func (t *sumTree) leaf(k int, w float64) { t.node[t.n+k] = w }

// set changes a weight.
func (t *sumTree) set(k int, w float64) {
	i := t.n + k
	t.node[i] = w
	for i >>= 1; i >= 1; i >>= 1 {
		t.node[i] = t.node[2*i] + t.node[2*i+1]
	}
}

// sum rebuilds all inner nodes after calls of leaf.
func (t *sumTree) sum() {
	for i := t.n - 1; i >= 1; i-- {
		t.node[i] = t.node[2*i] + t.node[2*i+1]
	}
}

// find returns the weight that u falls into, 0 ≤ u < total. The weight is never 0, even
// if u was rounded.
func (t *sumTree) find(u float64) int {
	i := 1
	for i < t.n {
		left := t.node[2*i]
		if u < left || t.node[2*i+1] == 0 {
			i = 2 * i
		} else {
			u -= left
			i = 2*i + 1
		}
	}
	return i - t.n
}
