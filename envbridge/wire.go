package envbridge

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// The layout of messages, as docs/protocol.md fixes it; stein_env/wire.py is the
// same in Python, and testdata/frames tests both.
const (
	magic       = "STNB"
	version     = 1
	headerBytes = 16

	// Both sides have ZeroMQ drop the connection on a frame above this size, and
	// drop a message of more frames than any kind has.
	maxFrameBytes = 64 << 20
	maxFrames     = 3
)

// A kind says what a message is. Requests are odd, their answers follow.
type kind uint8

const (
	kindHello kind = iota + 1
	kindWelcome
	kindReset
	kindObs
	kindStep
	kindResult
	kindRender
	kindPicture
	kindBye
	kindFailure
)

// Bits of the ends array of a result.
const (
	endTerminated = 1
	endTruncated  = 2
)

type header struct {
	version uint8
	kind    kind
	seq     uint64 // an answer has that of its request
}

func (h header) append(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, h.version, byte(h.kind), 0, 0)
	return binary.LittleEndian.AppendUint64(dst, h.seq)
}

// parseHeader fails on a frame that is no header, of whatever version.
func parseHeader(frame []byte) (header, error) {
	if len(frame) != headerBytes {
		return header{}, fmt.Errorf("header of %d bytes, want %d", len(frame), headerBytes)
	}
	if string(frame[:4]) != magic {
		return header{}, fmt.Errorf("header starts with %q, want %q", frame[:4], magic)
	}
	return header{frame[4], kind(frame[5]), binary.LittleEndian.Uint64(frame[8:])}, nil
}

// A layout has the sizes of a session's arrays.
type layout struct{ copies, obsDim, actDim int }

func (l layout) obsBytes() int    { return 4 * l.copies * l.obsDim }
func (l layout) actionBytes() int { return 4 * l.copies * l.actDim }
func (l layout) resultBytes() int { return l.obsBytes() + 5*l.copies }

func appendFloats(dst []byte, src []float32) []byte {
	dst = slices.Grow(dst, 4*len(src))
	for _, v := range src {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	}
	return dst
}

// readFloats fills dst from a frame of at least 4·len(dst) bytes and returns the
// index of the first number that isn't finite, or -1.
func readFloats(dst []float32, frame []byte) int {
	frame = frame[:4*len(dst)]
	bad := -1
	for i := range dst {
		bits := binary.LittleEndian.Uint32(frame[4*i:])
		if bits&0x7f800000 == 0x7f800000 && bad < 0 {
			bad = i
		}
		dst[i] = math.Float32frombits(bits)
	}
	return bad
}

// decodeObs reads the frames of an OBS message, header left out.
func (l layout) decodeObs(frames [][]byte, obs []float32) (nonFinite, error) {
	if len(frames) != 1 || len(frames[0]) != l.obsBytes() {
		return nonFinite{}, fmt.Errorf("observations in %s, want %d bytes", sizes(frames), l.obsBytes())
	}
	return l.locate(fieldReset, readFloats(obs, frames[0]), nil), nil
}

// decodeResult reads the frames of a RESULT message, header left out, into the
// slices of s, whose lengths fit. It tells of the first number that isn't finite.
func (l layout) decodeResult(frames [][]byte, s *Step) (nonFinite, error) {
	if len(frames) == 0 || len(frames[0]) != l.resultBytes() {
		return nonFinite{}, fmt.Errorf("result in %s, want %d bytes first", sizes(frames), l.resultBytes())
	}
	ends := frames[0][l.obsBytes()+4*l.copies:]
	ended := 0
	for i, e := range ends {
		if e > endTruncated {
			return nonFinite{}, fmt.Errorf("copy %d ended in way %d, want 0 to %d", i, e, endTruncated)
		}
		s.Terminated[i] = e == endTerminated
		s.Truncated[i] = e == endTruncated
		if e != 0 {
			ended++
		}
	}
	if err := l.checkFinal(frames, ended); err != nil {
		return nonFinite{}, err
	}

	badObs := readFloats(s.Obs, frames[0])
	badReward := readFloats(s.Reward, frames[0][l.obsBytes():])
	copy(s.Next, s.Obs)
	badFinal := -1
	for i, row := 0, 0; row < ended; i++ {
		if ends[i] == 0 {
			continue
		}
		o := l.obsDim
		if bad := readFloats(s.Next[i*o:(i+1)*o], frames[1][4*row*o:]); bad >= 0 && badFinal < 0 {
			badFinal = i*o + bad
		}
		row++
	}
	switch {
	case badFinal >= 0:
		return l.locate(fieldObs, badFinal, s.Next), nil
	case badReward >= 0:
		return nonFinite{field: fieldReward, copy: badReward, value: s.Reward[badReward]}, nil
	case badObs >= 0 && ends[badObs/max(l.obsDim, 1)] != 0:
		return l.locate(fieldReset, badObs, s.Obs), nil
	}
	return l.locate(fieldObs, badObs, s.Obs), nil
}

// checkFinal sees that the frame of last observations is there when, and only
// when, an episode ended, and that it has a row for each.
func (l layout) checkFinal(frames [][]byte, ended int) error {
	want := 1
	if ended > 0 {
		want = 2
	}
	if len(frames) != want {
		return fmt.Errorf("result with %d ends has %d frames, want %d", ended, len(frames), want)
	}
	if ended > 0 && len(frames[1]) != 4*ended*l.obsDim {
		return fmt.Errorf("last observations of %d copies in %d bytes, want %d", ended, len(frames[1]), 4*ended*l.obsDim)
	}
	return nil
}

// A nonFinite is where the first NaN or infinity of a message is; field is empty
// when there is none.
type nonFinite struct {
	field string
	copy  int
	index int // within the observation
	value float32
}

const (
	fieldObs    = "observation"
	fieldReset  = "observation after reset"
	fieldReward = "reward"
)

func (l layout) locate(field string, at int, in []float32) nonFinite {
	if at < 0 {
		return nonFinite{}
	}
	bad := nonFinite{field: field, copy: at / l.obsDim, index: at % l.obsDim}
	if in != nil {
		bad.value = in[at]
	}
	return bad
}

func sizes(frames [][]byte) string {
	n := make([]int, len(frames))
	for i, f := range frames {
		n[i] = len(f)
	}
	return fmt.Sprintf("frames of %v bytes", n)
}
