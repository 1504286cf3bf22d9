package runs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// A Seed is the number that all random streams of a run derive from. Two runs with the
// same seed, binary and machine are equal; other processors, plugins or thread counts may
// round differently.
type Seed uint64

// DrawSeed draws a seed from the operating system. It is short enough to type.
func DrawSeed() (Seed, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("runs: drawing a seed: %w", err)
	}
	return Seed(binary.LittleEndian.Uint32(b[:]) >> 1), nil
}

// Stream derives the seed of a named stream. It has 62 bits: it is not negative in any
// language, and the seeds of copies can count up from it. Streams are independent, and a
// new stream does not change the others.
func (s Seed) Stream(name string) int64 {
	b := binary.LittleEndian.AppendUint64(nil, uint64(s))
	sum := sha256.Sum256(append(b, name...))
	return int64(binary.LittleEndian.Uint64(sum[:]) >> 2)
}
