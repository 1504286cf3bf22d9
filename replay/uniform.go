package replay

import (
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
)

// Uniform is a Buffer that draws every transition with the same probability.
type Uniform struct {
	mu sync.Mutex
	b  *rings
}

var (
	_ Buffer = (*Uniform)(nil)
	_ Saver  = (*Uniform)(nil)
)

// New allocates a buffer. It fails if the buffer does not fit into memory.
func New(c Config) (*Uniform, error) {
	c, err := c.normal()
	if err != nil {
		return nil, err
	}
	if err := c.fits(c.Bytes()); err != nil {
		return nil, err
	}
	return &Uniform{b: newRings(c)}, nil
}

func (u *Uniform) Add(t Transition) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.b.add(t)
}

func (u *Uniform) Cut(copy int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.b.cut(copy)
}

func (u *Uniform) Len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.b.length
}

func (u *Uniform) Sample(dst *Batch, n int, rng *rand.Rand) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n < 1 || u.b.length == 0 {
		return fmt.Errorf("replay: cannot draw a batch of %d from %d transitions", n, u.b.length)
	}
	dst.resize(n, u.b.ObsDim, u.b.ActDim)
	span := u.b.span()
	for i := range n {
		copyOf, p := u.b.draw(rng, span)
		u.b.gather(dst, i, copyOf, p)
		dst.Weight[i] = 1
	}
	return nil
}

func (u *Uniform) Save(w io.Writer) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return save(w, u.b, nil)
}

func (u *Uniform) Load(r io.Reader) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return load(r, u.b, nil)
}

func (u *Uniform) SaveBytes() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return saveBytes(u.b, nil)
}
