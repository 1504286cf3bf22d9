package replay

import (
	"errors"
	"fmt"
	"math"

	"github.com/stein-rl/stein/internal/settings"
)

// A Config is the shape of a buffer.
type Config struct {
	Capacity int // transitions, over all copies
	Copies   int // environment copies that write to it; each gets an equal share
	ObsDim   int
	ActDim   int
	NStep    int     // steps per n-step return; 0: 1
	Gamma    float64 // discount of one step, in [0, 1]
	// SpareEnds is how many ends of episodes fit besides Capacity transitions. Each takes the
	// space of one transition. If the buffer holds more, because episodes are shorter, it keeps
	// fewer transitions, but at least half of Capacity. 0: an eighth of Capacity, enough for
	// episodes of eight steps.
	SpareEnds int
}

// normal returns c with its defaults filled in, after checking it.
func (c Config) normal() (Config, error) {
	if c.NStep == 0 {
		c.NStep = 1
	}
	if c.SpareEnds == 0 {
		c.SpareEnds = (c.Capacity + 7) / 8
	}
	var errs []error
	atLeast := func(name string, value, least int) {
		if value < least {
			errs = append(errs, fmt.Errorf("replay: %s %d, want at least %d", name, value, least))
		}
	}
	atLeast("Copies", c.Copies, 1)
	atLeast("Capacity", c.Capacity, max(c.Copies, 1))
	atLeast("ObsDim", c.ObsDim, 1)
	atLeast("ActDim", c.ActDim, 1)
	atLeast("NStep", c.NStep, 1)
	atLeast("SpareEnds", c.SpareEnds, 1)
	if !(c.Gamma >= 0 && c.Gamma <= 1) {
		errs = append(errs, fmt.Errorf("replay: Gamma %v, want 0 to 1", c.Gamma))
	}
	return c, settings.Refuse(errors.Join(errs...))
}

// row is the length of a slot in float32: observation, action, reward.
func (c Config) row() int { return c.ObsDim + c.ActDim + 1 }

// slots is the number of slots per copy: its transitions, the ends of its episodes, and
// the newest observation.
func (c Config) slots() int {
	return ceil(c.Capacity, c.Copies) + ceil(c.SpareEnds, c.Copies) + 1
}

func ceil(a, b int) int { return (a + b - 1) / b }

// Bytes is the memory that New allocates for c: 97 bytes per slot for Walker2d's 17 and 6
// numbers. It is 0 if c is invalid.
func (c Config) Bytes() int64 { return c.bytes(0) }

// BytesPrioritized is the memory that NewPrioritized allocates for c.
func (c Config) BytesPrioritized() int64 { return c.bytes(16) }

// bytes computes in float64, so that huge sizes do not overflow.
func (c Config) bytes(more int) int64 {
	c, err := c.normal()
	if err != nil {
		return 0
	}
	perSlot := 4*float64(c.ObsDim) + 4*float64(c.ActDim) + 4 + 1 + float64(more)
	return int64(min(float64(c.slots())*float64(c.Copies)*perSlot, math.MaxInt64/2))
}

// fits rejects a buffer that does not fit into this machine's memory.
func (c Config) fits(bytes int64) error {
	free, known := availableMemory()
	if known && bytes > free {
		return fmt.Errorf("replay: %d transitions of %d+%d numbers take %s, this machine has %s free: lower the capacity to %d",
			c.Capacity, c.ObsDim, c.ActDim, size(bytes), size(free), int(float64(c.Capacity)*0.8*float64(free)/float64(bytes)))
	}
	return nil
}

func size(bytes int64) string {
	if bytes >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}
