package torchfile

import (
	"bytes"
	"errors"
	"fmt"
)

// The argument of a pickle operation.
const (
	fixed  = iota // a fixed number of bytes, see the table
	sized1        // a one-byte length, then that many bytes
	sized4        // a four-byte length, then that many bytes
	lines2        // two lines of text
)

// operations are those that PyTorch uses to write a dict of tensors (protocol 2), by
// their codes in Python's pickletools.
var operations = map[byte]struct{ follows, bytes int }{
	0x80: {fixed, 1},                   // PROTO
	'.':  {fixed, 0},                   // STOP
	'N':  {fixed, 0},                   // NONE
	0x88: {fixed, 0}, 0x89: {fixed, 0}, // NEWTRUE, NEWFALSE
	'K': {fixed, 1}, 'M': {fixed, 2}, 'J': {fixed, 4}, // BININT1, BININT2, BININT
	0x8a: {sized1, 0},                                  // LONG1
	'G':  {fixed, 8},                                   // BINFLOAT
	'X':  {sized4, 0},                                  // BINUNICODE
	'c':  {lines2, 0},                                  // GLOBAL
	'(':  {fixed, 0}, ')': {fixed, 0}, 't': {fixed, 0}, // MARK, EMPTY_TUPLE, TUPLE
	0x85: {fixed, 0}, 0x86: {fixed, 0}, 0x87: {fixed, 0}, // TUPLE1 to TUPLE3
	']': {fixed, 0}, 'a': {fixed, 0}, 'e': {fixed, 0}, // EMPTY_LIST, APPEND, APPENDS
	'}': {fixed, 0}, 's': {fixed, 0}, 'u': {fixed, 0}, // EMPTY_DICT, SETITEM, SETITEMS
	'q': {fixed, 1}, 'r': {fixed, 4}, 'h': {fixed, 1}, 'j': {fixed, 4}, // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
	'R': {fixed, 0}, 'b': {fixed, 0}, 'Q': {fixed, 0}, // REDUCE, BUILD, BINPERSID
}

// checkPickle returns the length of the pickle that text begins with. It rejects unknown
// operations and lengths beyond the end of text: the unpickler trusts them and allocates
// memory first.
func checkPickle(text []byte) (length int, err error) {
	for at := 0; at < len(text); {
		op, ok := operations[text[at]]
		if !ok {
			return 0, fmt.Errorf("pickle operation %#x at %d is not allowed", text[at], at)
		}
		if text[at] == '.' {
			return at + 1, nil
		}
		at++
		rest, want := text[at:], op.bytes
		switch op.follows {
		case sized1:
			want = 1
			if len(rest) > 0 {
				want += int(rest[0])
			}
		case sized4:
			want = 4
			if len(rest) >= 4 {
				want += int(little.Uint32(rest))
			}
		case lines2:
			first := bytes.IndexByte(rest, '\n') + 1
			want = first + bytes.IndexByte(rest[first:], '\n') + 1
			if first == 0 || want == first {
				return 0, fmt.Errorf("pickle operation at %d: unterminated line", at-1)
			}
		}
		if want > len(rest) {
			return 0, fmt.Errorf("pickle operation at %d: %d bytes left, want %d", at-1, len(rest), want)
		}
		at += want
	}
	return 0, errors.New("the pickle is truncated")
}
