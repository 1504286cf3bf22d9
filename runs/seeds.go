package runs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// A Seed is the one number that a run's random streams all come from. Two runs of
// one seed, binary and machine are equal; other processors, plugins or thread
// counts may round differently.
type Seed uint64

// DrawSeed takes a seed from the operating system. It is small enough to be typed.
func DrawSeed() (Seed, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("runs: drawing a seed: %w", err)
	}
	return Seed(binary.LittleEndian.Uint32(b[:]) >> 1), nil
}

// Stream derives the seed of one stream by its name: 62 bits, so that it is not
// negative in any language and seeds of single copies can be counted up from it.
// Streams of two names share no numbers, and a new one changes none of the others.
func (s Seed) Stream(name string) int64 {
	b := binary.LittleEndian.AppendUint64(nil, uint64(s))
	sum := sha256.Sum256(append(b, name...))
	return int64(binary.LittleEndian.Uint64(sum[:]) >> 2)
}
