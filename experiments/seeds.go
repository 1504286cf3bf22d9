package experiments

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

// The streams of a run. None shares numbers with another, and a new one changes
// none of the others.
const (
	streamEnv      = "environments"            // episodes' starts, and their action spaces
	streamEval     = "evaluation environments" // of the evaluations while training
	streamAgent    = "agent"                   // initial weights, exploration, sampler noise
	streamReplay   = "replay"                  // which transitions are drawn
	streamFinal    = "final evaluation"        // of the evaluation after training
	streamEvalOnly = "eval command"            // stein eval, unless it is given a seed
)

// Draw takes a seed from the operating system. It is small enough to be typed.
func Draw() (Seed, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("experiments: drawing a seed: %w", err)
	}
	return Seed(binary.LittleEndian.Uint32(b[:]) >> 1), nil
}

// Stream derives the seed of one stream: 62 bits, so that it is not negative in
// any language and seeds of single copies can be counted up from it.
func (s Seed) Stream(name string) int64 {
	b := binary.LittleEndian.AppendUint64(nil, uint64(s))
	sum := sha256.Sum256(append(b, name...))
	return int64(binary.LittleEndian.Uint64(sum[:]) >> 2)
}
