package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// block is the number of bytes that an encoder writes, and a decoder reads, at once.
const block = 64 << 10

// An encoder writes little-endian numbers and computes their checksum. It keeps its first
// error.
type encoder struct {
	w   io.Writer
	buf []byte
	crc uint32
	err error
}

func (e *encoder) byte(b byte)    { e.room(1); e.buf = append(e.buf, b) }
func (e *encoder) bytes(b []byte) { e.room(len(b)); e.buf = append(e.buf, b...) }
func (e *encoder) u32(v uint32)   { e.room(4); e.buf = binary.LittleEndian.AppendUint32(e.buf, v) }
func (e *encoder) u64(v uint64)   { e.room(8); e.buf = binary.LittleEndian.AppendUint64(e.buf, v) }
func (e *encoder) f64(v float64)  { e.u64(math.Float64bits(v)) }

func (e *encoder) bool(v bool) {
	if v {
		e.byte(1)
	} else {
		e.byte(0)
	}
}

func (e *encoder) f32s(values []float32) {
	for len(values) > 0 {
		n := min(len(values), block/4)
		e.room(4 * n)
		for _, v := range values[:n] {
			e.buf = binary.LittleEndian.AppendUint32(e.buf, math.Float32bits(v))
		}
		values = values[n:]
	}
}

// room ensures space for n more bytes.
func (e *encoder) room(n int) {
	if len(e.buf)+n > cap(e.buf) {
		e.flush()
	}
}

func (e *encoder) flush() {
	e.crc = crc32.Update(e.crc, castagnoli, e.buf)
	if e.err == nil {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

func (e *encoder) finish() error {
	e.flush()
	e.u32(e.crc)
	e.flush()
	return e.err
}

// A decoder reads what an encoder wrote. After its first error it returns zeros.
type decoder struct {
	r    io.Reader
	buf  []byte
	rest []byte // unread part of buf
	crc  uint32
	err  error
}

// bytes returns the next n ≤ block bytes, valid until the next call.
func (d *decoder) bytes(n int) []byte {
	if len(d.rest) < n {
		d.fill(n)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	d.crc = crc32.Update(d.crc, castagnoli, b)
	return b
}

// fill makes at least n bytes available.
func (d *decoder) fill(n int) {
	kept := copy(d.buf, d.rest)
	got := 0
	if d.err == nil {
		got, d.err = io.ReadAtLeast(d.r, d.buf[kept:], n-kept)
	}
	if d.err != nil {
		clear(d.buf)
		kept, got = 0, n
	}
	d.rest = d.buf[:kept+got]
}

func (d *decoder) byte() byte   { return d.bytes(1)[0] }
func (d *decoder) u32() uint32  { return binary.LittleEndian.Uint32(d.bytes(4)) }
func (d *decoder) u64() uint64  { return binary.LittleEndian.Uint64(d.bytes(8)) }
func (d *decoder) f64() float64 { return math.Float64frombits(d.u64()) }

func (d *decoder) f32s(values []float32) {
	for len(values) > 0 {
		n := min(len(values), block/4)
		b := d.bytes(4 * n)
		for i := range n {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		values = values[n:]
	}
}

// finish verifies the checksum and that no data follows it.
func (d *decoder) finish() error {
	want := d.crc
	got := d.u32()
	if d.err != nil {
		return d.err
	}
	if got != want {
		return fmt.Errorf("damaged: the CRC-32C is %08x, want %08x", want, got)
	}
	if len(d.rest) > 0 {
		return errors.New("damaged: data after the end")
	}
	if n, err := io.ReadFull(d.r, d.buf[:1]); n > 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("damaged: data after the end (%w)", err)
	}
	return nil
}
