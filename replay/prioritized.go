package replay

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
)

// A Priority configures how a Prioritized buffer weighs errors (Schaul, Quan, Antonoglou
// and Silver 2016, section 3.3).
type Priority struct {
	Alpha   float64 // exponent of the error; 0: uniform, 1: proportional
	Epsilon float64 // added to every error, so that every transition can be drawn; above 0
	// Beta is the initial exponent of the importance weights. It rises linearly to 1
	// while BetaSteps transitions are added.
	Beta      float64
	BetaSteps int64
}

// DefaultPriority is the paper's proportional variant: α 0.6, β from 0.4.
func DefaultPriority(steps int64) Priority {
	return Priority{Alpha: 0.6, Epsilon: 1e-6, Beta: 0.4, BetaSteps: steps}
}

// Prioritized is a Buffer that draws transition i with probability P(i) = w_i / Σ w, w_i
// = (|error_i| + ε)^α. A new transition gets the largest weight so far, initially 1.
// Minibatches are stratified: row i of n is drawn from the i-th of n equal parts of Σ w.
// Batch.Weight is (Len·P(i))^-β divided by the minibatch's maximum.
type Prioritized struct {
	mu       sync.Mutex
	b        *rings
	priority Priority
	tree     *sumTree
	largest  float64 // weight of a new transition
	added    int64   // transitions, for β
}

var (
	_ Buffer      = (*Prioritized)(nil)
	_ Prioritizer = (*Prioritized)(nil)
	_ Saver       = (*Prioritized)(nil)
)

// NewPrioritized allocates a buffer. It fails if the buffer does not fit into memory.
func NewPrioritized(c Config, p Priority) (*Prioritized, error) {
	c, err := c.normal()
	if err := errors.Join(err, p.check()); err != nil {
		return nil, err
	}
	if err := c.fits(c.BytesPrioritized()); err != nil {
		return nil, err
	}
	q := &Prioritized{b: newRings(c), priority: p, largest: 1}
	q.tree = newSumTree(len(q.b.kinds))
	q.b.changed = q.changed
	return q, nil
}

func (p Priority) check() error {
	if !(p.Alpha >= 0 && p.Alpha <= 1) || !(p.Beta >= 0 && p.Beta <= 1) {
		return fmt.Errorf("replay: priority exponents Alpha %v and Beta %v, want 0 to 1", p.Alpha, p.Beta)
	}
	if !(p.Epsilon > 0) || math.IsInf(p.Epsilon, 1) || p.BetaSteps < 0 {
		return fmt.Errorf("replay: priority Epsilon %v and BetaSteps %d, want above 0, and at least 0", p.Epsilon, p.BetaSteps)
	}
	return nil
}

// changed updates the tree when a slot's content changes.
func (q *Prioritized) changed(slot int, transition bool) {
	if transition {
		q.tree.set(slot, q.largest)
	} else {
		q.tree.set(slot, 0)
	}
}

func (q *Prioritized) Add(t Transition) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.b.add(t); err != nil {
		return err
	}
	q.added++
	return nil
}

func (q *Prioritized) Cut(copy int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.b.cut(copy)
}

func (q *Prioritized) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.b.length
}

func (q *Prioritized) Sample(dst *Batch, n int, rng *rand.Rand) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n < 1 || q.b.length == 0 {
		return fmt.Errorf("replay: cannot draw a batch of %d from %d transitions", n, q.b.length)
	}
	dst.resize(n, q.b.ObsDim, q.b.ActDim)
	total, beta := q.tree.total(), q.beta()
	part := total / float64(n)
	least := float32(math.Inf(1))
	for i := range n {
		slot := q.tree.find((float64(i) + rng.Float64()) * part)
		copyOf, p := q.b.position(slot)
		q.b.gather(dst, i, copyOf, p)
		dst.Weight[i] = float32(q.tree.weight(slot) / total)
		least = min(least, dst.Weight[i])
	}
	for i, p := range dst.Weight {
		dst.Weight[i] = float32(math.Pow(float64(p/least), -beta))
	}
	return nil
}

// beta is the current exponent of the importance weights.
func (q *Prioritized) beta() float64 {
	if q.added >= q.priority.BetaSteps {
		return 1
	}
	return q.priority.Beta + (1-q.priority.Beta)*float64(q.added)/float64(q.priority.BetaSteps)
}

func (q *Prioritized) Reprioritize(index []int64, absError []float32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, at := range index {
		e := float64(absError[i])
		slot, ok := q.b.find(at)
		if !ok || !(e >= 0) || math.IsInf(e, 1) {
			continue
		}
		w := math.Pow(e+q.priority.Epsilon, q.priority.Alpha)
		q.tree.set(slot, w)
		q.largest = max(q.largest, w)
	}
}

func (q *Prioritized) Save(w io.Writer) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return save(w, q.b, q)
}

func (q *Prioritized) Load(r io.Reader) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return load(r, q.b, q)
}

func (q *Prioritized) SaveBytes() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return saveBytes(q.b, q)
}
