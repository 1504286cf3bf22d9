package replay

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// Format of a saved buffer, little-endian:
//
//	"steinrpl", version uint32, 1 if prioritized uint32
//	Capacity, Copies, ObsDim, ActDim, SpareEnds  uint64 each
//	only if prioritized: largest weight float64, transitions added uint64
//	for each copy, n = head - tail:
//	  tail, head uint64, open uint8 (0 or 1)
//	  kinds uint8 [n], rows float32 [n, ObsDim+ActDim+1]
//	  only if prioritized: weights float64 [n]
//	CRC-32C of everything before, uint32
const (
	saveMagic   = "steinrpl"
	saveVersion = 1
	saveHeader  = 8 + 4 + 4 + 5*8
	// maxPosition is the limit above which a file's positions count as damaged. At a
	// million transitions a second it takes 35 years to reach.
	maxPosition = 1 << 50
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// shape lists the settings that Save and Load must agree on.
func (c Config) shape() [5]struct {
	name  string
	value int
} {
	return [5]struct {
		name  string
		value int
	}{{"Capacity", c.Capacity}, {"Copies", c.Copies}, {"ObsDim", c.ObsDim}, {"ActDim", c.ActDim}, {"SpareEnds", c.SpareEnds}}
}

func saveBytes(b *rings, q *Prioritized) int64 {
	n, perSlot := int64(saveHeader+4), int64(1+4*b.Config.row())
	if q != nil {
		n, perSlot = n+16, perSlot+8
	}
	for i := range b.each {
		n += 17 + (b.each[i].head-b.each[i].tail)*perSlot
	}
	return n
}

// save writes b, and the weights of q unless it is nil.
func save(w io.Writer, b *rings, q *Prioritized) error {
	e := &encoder{w: w, buf: make([]byte, 0, block)}
	e.bytes([]byte(saveMagic))
	e.u32(saveVersion)
	e.u32(kindOf(q))
	for _, s := range b.shape() {
		e.u64(uint64(s.value))
	}
	if q != nil {
		e.f64(q.largest)
		e.u64(uint64(q.added))
	}
	for i := range b.each {
		r := &b.each[i]
		e.u64(uint64(r.tail))
		e.u64(uint64(r.head))
		e.bool(r.open)
		for p := r.tail; p < r.head; p++ {
			e.byte(byte(b.kinds[b.slot(i, p)]))
		}
		for p := r.tail; p < r.head; p++ {
			e.f32s(b.row(b.slot(i, p)))
		}
		for p := r.tail; q != nil && p < r.head; p++ {
			e.f64(q.tree.weight(b.slot(i, p)))
		}
	}
	if err := e.finish(); err != nil {
		return fmt.Errorf("replay: saving: %w", err)
	}
	return nil
}

func kindOf(q *Prioritized) uint32 {
	if q != nil {
		return 1
	}
	return 0
}

// load reads what save wrote.
func load(r io.Reader, b *rings, q *Prioritized) error {
	reset := func() {
		b.clear()
		if q != nil {
			clear(q.tree.node)
			q.largest, q.added = 1, 0
		}
	}
	reset()
	if err := read(&decoder{r: r, buf: make([]byte, block)}, b, q); err != nil {
		reset()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("replay: loading: %w", err)
	}
	if q != nil {
		q.tree.sum()
	}
	return nil
}

func read(d *decoder, b *rings, q *Prioritized) error {
	if err := readHeader(d, b.Config, kindOf(q)); err != nil {
		return err
	}
	if q != nil {
		q.largest, q.added = d.f64(), int64(d.u64())
		if d.err == nil && (!(q.largest > 0) || math.IsInf(q.largest, 1) || q.added < 0) {
			return fmt.Errorf("damaged: largest weight %v, %d added", q.largest, q.added)
		}
	}
	for i := range b.each {
		if err := readRing(d, b, i); err != nil {
			return err
		}
		if q != nil {
			if err := readWeights(d, q, i); err != nil {
				return err
			}
		}
	}
	return d.finish()
}

func readHeader(d *decoder, c Config, kind uint32) error {
	magic := string(d.bytes(len(saveMagic)))
	version, found := d.u32(), d.u32()
	if d.err != nil {
		return d.err
	}
	if magic != saveMagic {
		return fmt.Errorf("not a saved replay buffer: the file begins with %q", magic)
	}
	if version != saveVersion {
		return fmt.Errorf("format version %d; this program reads version %d", version, saveVersion)
	}
	if found != kind {
		name := [...]string{"uniform", "prioritized"}
		return fmt.Errorf("the file holds a %s buffer, this run's is %s", name[min(found, 1)], name[kind])
	}
	for _, s := range c.shape() {
		if v := d.u64(); d.err == nil && v != uint64(s.value) {
			return fmt.Errorf("the file holds a buffer of %s %d, this run's has %d: use the same configuration as the saved run", s.name, v, s.value)
		}
	}
	return d.err
}

func readRing(d *decoder, b *rings, i int) error {
	r := &b.each[i]
	tail, head, open := d.u64(), d.u64(), d.byte()
	if d.err != nil {
		return d.err
	}
	if head > maxPosition || tail > head || head-tail > uint64(b.slots) || open > 1 || (open == 1 && tail == head) {
		return fmt.Errorf("damaged: copy %d has positions %d to %d, open %d", i, tail, head, open)
	}
	r.tail, r.head, r.open = int64(tail), int64(head), open == 1
	for p := r.tail; p < r.head; p++ {
		k := kind(d.byte())
		if d.err == nil && (k > terminated || (k == only && p == r.tail)) {
			return fmt.Errorf("damaged: copy %d has a slot of kind %d", i, k)
		}
		b.kinds[b.slot(i, p)] = k
		if k != only {
			r.count++
		}
	}
	if d.err == nil && (r.count > r.capacity || (r.head > r.tail && b.kinds[b.slot(i, r.head-1)] != only)) {
		return fmt.Errorf("damaged: copy %d has %d transitions, capacity %d, or its last episode has no end", i, r.count, r.capacity)
	}
	for p := r.tail; p < r.head; p++ {
		d.f32s(b.row(b.slot(i, p)))
	}
	b.length += r.count
	return d.err
}

func readWeights(d *decoder, q *Prioritized, i int) error {
	r := q.b.each[i]
	for p := r.tail; p < r.head; p++ {
		slot, w := q.b.slot(i, p), d.f64()
		if d.err == nil && (!(w >= 0 && w <= q.largest) || (w > 0) != (q.b.kinds[slot] != only)) {
			return fmt.Errorf("damaged: copy %d has weight %v", i, w)
		}
		q.tree.leaf(slot, w)
	}
	return d.err
}
