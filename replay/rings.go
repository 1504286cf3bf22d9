package replay

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// A kind says what a slot holds.
type kind uint8

const (
	// only: an observation without an action. It is the last observation of an episode,
	// or the newest one, whose action is still to come.
	only kind = iota
	step
	terminated
)

// rings is the storage of both buffers: for each copy a ring of slots that holds its
// episodes in order. The slot after a transition begins with its successor, so the data
// of n-step returns is contiguous in memory.
type rings struct {
	Config
	slots  int       // of a ring
	rows   []float32 // [Copies*slots*row()]: observation, action, reward
	kinds  []kind    // [Copies*slots]
	each   []ring    // [Copies]
	length int       // transitions in all rings
	powers []float64 // γ^k, k ≤ NStep

	// changed, if set, is called for every slot that becomes a transition or stops being
	// one.
	changed func(slot int, transition bool)
}

// A ring has the positions tail ≤ p < head; position p is in its slot p mod slots.
type ring struct {
	tail, head int64
	count      int // transitions
	capacity   int
	open       bool // the newest observation still accepts an action
}

func newRings(c Config) *rings {
	b := &rings{Config: c, slots: c.slots(), each: make([]ring, c.Copies), powers: make([]float64, c.NStep+1)}
	b.rows = make([]float32, c.Copies*b.slots*c.row())
	b.kinds = make([]kind, c.Copies*b.slots)
	for i := range b.each {
		b.each[i].capacity = c.Capacity / c.Copies
		if i < c.Capacity%c.Copies {
			b.each[i].capacity++
		}
	}
	b.powers[0] = 1
	for k := range c.NStep {
		b.powers[k+1] = b.powers[k] * c.Gamma
	}
	return b
}

// slot is the index into kinds of a copy's position.
func (b *rings) slot(copy int, p int64) int { return copy*b.slots + int(p%int64(b.slots)) }

func (b *rings) row(slot int) []float32 {
	n := b.Config.row()
	return b.rows[slot*n : (slot+1)*n : (slot+1)*n]
}

func (b *rings) add(t Transition) error {
	if err := b.check(t); err != nil {
		return err
	}
	r := &b.each[t.Copy]
	if !r.open || !slices.Equal(b.row(b.slot(t.Copy, r.head-1))[:b.ObsDim], t.Obs) {
		b.push(t.Copy, t.Obs)
	}
	at := b.slot(t.Copy, r.head-1)
	row := b.row(at)
	copy(row[b.ObsDim:], t.Action)
	row[b.ObsDim+b.ActDim] = t.Reward
	b.kinds[at] = step
	if t.Terminated {
		b.kinds[at] = terminated
	}
	r.count++
	b.length++
	if b.changed != nil {
		b.changed(at, true)
	}
	b.push(t.Copy, t.Next)
	for r.count > r.capacity {
		b.drop(t.Copy)
	}
	r.open = !t.Terminated && !t.Truncated
	return nil
}

// push appends an observation after making room for it.
func (b *rings) push(copyOf int, obs []float32) {
	r := &b.each[copyOf]
	if r.head-r.tail == int64(b.slots) {
		b.drop(copyOf)
	}
	at := b.slot(copyOf, r.head)
	copy(b.row(at), obs)
	b.kinds[at] = only
	r.head++
}

// drop removes the oldest transition, and the end of its episode with it.
func (b *rings) drop(copyOf int) {
	r := &b.each[copyOf]
	dropped := false
	for r.tail < r.head {
		at := b.slot(copyOf, r.tail)
		if b.kinds[at] != only {
			if dropped {
				return
			}
			dropped = true
			r.count--
			b.length--
			if b.changed != nil {
				b.changed(at, false)
			}
		}
		r.tail++
	}
}

func (b *rings) cut(copyOf int) {
	if copyOf >= 0 && copyOf < b.Copies {
		b.each[copyOf].open = false
	}
}

// draw picks a transition uniformly: it draws slots until one holds a transition.
func (b *rings) draw(rng *rand.Rand, span int64) (copyOf int, p int64) {
	for {
		u := int64(rng.Uint64N(uint64(span) * uint64(b.Copies)))
		copyOf = int(u / span)
		p = b.each[copyOf].tail + u%span
		if p < b.each[copyOf].head && b.kinds[b.slot(copyOf, p)] != only {
			return copyOf, p
		}
	}
}

// span is the length of the longest ring.
func (b *rings) span() int64 {
	var n int64
	for i := range b.each {
		n = max(n, b.each[i].head-b.each[i].tail)
	}
	return n
}

// gather writes a transition to row i of dst: its return over up to NStep steps of its
// episode, and the successor.
func (b *rings) gather(dst *Batch, i int, copyOf int, p int64) {
	at := b.slot(copyOf, p)
	row := b.row(at)
	copy(dst.Obs[i*b.ObsDim:(i+1)*b.ObsDim], row)
	copy(dst.Action[i*b.ActDim:(i+1)*b.ActDim], row[b.ObsDim:])
	var reward float64
	k, ended := 0, false
	for k < b.NStep && b.kinds[at] != only {
		reward += b.powers[k] * float64(row[b.ObsDim+b.ActDim])
		ended = b.kinds[at] == terminated
		k++
		if at++; at == (copyOf+1)*b.slots {
			at = copyOf * b.slots
		}
		row = b.row(at)
	}
	copy(dst.Next[i*b.ObsDim:(i+1)*b.ObsDim], row)
	dst.Reward[i] = float32(reward)
	dst.Discount[i] = float32(b.powers[k])
	if ended {
		dst.Discount[i] = 0
	}
	dst.Index[i] = p*int64(b.Copies) + int64(copyOf)
}

// position is the ring position of a slot in use.
func (b *rings) position(slot int) (copyOf int, p int64) {
	copyOf = slot / b.slots
	tail, n := b.each[copyOf].tail, int64(b.slots)
	return copyOf, tail + (int64(slot%b.slots)-tail%n+n)%n
}

// find returns the slot of a Batch's index, if the buffer still holds it.
func (b *rings) find(index int64) (slot int, ok bool) {
	if index < 0 {
		return 0, false
	}
	copyOf, p := int(index%int64(b.Copies)), index/int64(b.Copies)
	slot = b.slot(copyOf, p)
	return slot, p >= b.each[copyOf].tail && p < b.each[copyOf].head && b.kinds[slot] != only
}

func (b *rings) clear() {
	for i := range b.each {
		b.each[i] = ring{capacity: b.each[i].capacity}
	}
	b.length = 0
}

func (b *rings) check(t Transition) error {
	if t.Copy < 0 || t.Copy >= b.Copies {
		return fmt.Errorf("replay: copy %d is out of range: the buffer has %d", t.Copy, b.Copies)
	}
	for _, v := range [...]struct {
		name   string
		values []float32
		want   int
	}{{"observation", t.Obs, b.ObsDim}, {"action", t.Action, b.ActDim}, {"next observation", t.Next, b.ObsDim}} {
		if len(v.values) != v.want {
			return fmt.Errorf("replay: copy %d: %s has %d numbers, want %d", t.Copy, v.name, len(v.values), v.want)
		}
		for i, x := range v.values {
			if x-x != 0 {
				return fmt.Errorf("replay: copy %d: %s[%d] is %v", t.Copy, v.name, i, x)
			}
		}
	}
	if t.Reward-t.Reward != 0 {
		return fmt.Errorf("replay: copy %d: reward is %v", t.Copy, t.Reward)
	}
	return nil
}
