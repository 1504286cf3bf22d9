package ebm

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/stein-rl/stein/random"
)

// chains are persistent chains of samples. The chains that an update continues depend on
// the seed and its number.
type chains struct {
	Chains
	x    []float32 // [Size, D]
	used []bool    // whether a chain has started, [Size]
	d    int
}

func newChains(c Chains, d int) *chains {
	return &chains{Chains: c, x: make([]float32, c.Size*d), used: make([]bool, c.Size), d: d}
}

// take selects m chains for an update: their indices, their positions, and which of them
// start anew.
func (c *chains) take(seed, update uint64, m int) (places []int, x []float32, fresh []bool) {
	rng := rand.New(rand.NewPCG(random.Mix(seed, chainStream), update))
	places = rng.Perm(c.Size)[:m]
	x, fresh = make([]float32, m*c.d), make([]bool, m)
	for i, p := range places {
		copy(x[i*c.d:(i+1)*c.d], c.x[p*c.d:(p+1)*c.d])
		fresh[i] = rng.Float64() < c.Restart || !c.used[p]
	}
	return places, x, fresh
}

// put stores the new positions of chains.
func (c *chains) put(places []int, x []float32) {
	for i, p := range places {
		copy(c.x[p*c.d:(p+1)*c.d], x[i*c.d:(i+1)*c.d])
		c.used[p] = true
	}
}

// save writes the chains, and load reads them: first which have started, then all values.
func (c *chains) save(w io.Writer) error {
	if err := binary.Write(w, binary.LittleEndian, c.used); err != nil {
		return fmt.Errorf("ebm: chains: %w", err)
	}
	if err := binary.Write(w, binary.LittleEndian, c.x); err != nil {
		return fmt.Errorf("ebm: chains: %w", err)
	}
	return nil
}

func (c *chains) load(r io.Reader) error {
	if err := binary.Read(r, binary.LittleEndian, c.used); err != nil {
		return fmt.Errorf("ebm: %d chains: %w", c.Size, err)
	}
	if err := binary.Read(r, binary.LittleEndian, c.x); err != nil {
		return fmt.Errorf("ebm: %d chains: %w", c.Size, err)
	}
	return nil
}
