package envbridge

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// The message layout of docs/protocol.md. stein_env/wire.py implements it in Python; both
// are tested with testdata/frames.
const (
	magic       = "STNB"
	version     = 1
	headerBytes = 16

	// ZeroMQ drops the connection on a larger message, on both sides.
	maxMessageBytes = 64 << 20
)

// A kind is a message type. Requests are odd; each answer is its request plus one.
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

// Bits of the ends array of a RESULT.
const (
	endTerminated = 1
	endTruncated  = 2
)

type header struct {
	version uint8
	kind    kind
	seq     uint64 // same in a request and its answer
}

func (h header) append(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, h.version, byte(h.kind), 0, 0)
	return binary.LittleEndian.AppendUint64(dst, h.seq)
}

// parseMessage splits a message into header and body. It fails if the message has no
// valid header, of any version.
func parseMessage(message []byte) (header, []byte, error) {
	if len(message) < headerBytes {
		return header{}, nil, fmt.Errorf("message of %d bytes, its header has %d", len(message), headerBytes)
	}
	if string(message[:4]) != magic {
		return header{}, nil, fmt.Errorf("message starts with %q, want %q", message[:4], magic)
	}
	h := header{message[4], kind(message[5]), binary.LittleEndian.Uint64(message[8:])}
	return h, message[headerBytes:], nil
}

// A layout holds the array sizes of a session.
type layout struct{ copies, obsDim, actDim int }

func (l layout) actionBytes() int { return 4 * l.copies * l.actDim }
func (l layout) obsBytes() int    { return 4 * l.copies * l.obsDim }

// resultBytes is the size of a RESULT's body if no episode ended: obs, reward, and ends
// padded with zeros to a multiple of four. Last observations follow.
func (l layout) resultBytes() int { return l.obsBytes() + 4*l.copies + (l.copies+3)/4*4 }

func appendFloats(dst []byte, src []float32) []byte {
	dst = slices.Grow(dst, 4*len(src))
	for _, v := range src {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	}
	return dst
}

// readFloats fills dst from a frame of at least 4·len(dst) bytes and returns the index of
// the first number that is not finite, or -1.
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

// decodeObs reads the body of an OBS message.
func (l layout) decodeObs(body []byte, obs []float32) (nonFinite, error) {
	if len(body) != l.obsBytes() {
		return nonFinite{}, fmt.Errorf("observations have %d bytes, want %d", len(body), l.obsBytes())
	}
	return l.locate(fieldReset, readFloats(obs, body), obs), nil
}

// decodeResult decodes the body of a RESULT message into the slices of s and returns the
// first number that is not finite.
func (l layout) decodeResult(body []byte, s *Step) (nonFinite, error) {
	if len(body) < l.resultBytes() {
		return nonFinite{}, fmt.Errorf("result has %d bytes, want at least %d", len(body), l.resultBytes())
	}
	obs, rest := body[:l.obsBytes()], body[l.obsBytes():]
	reward, ends := rest[:4*l.copies], rest[4*l.copies:5*l.copies]
	final := body[l.resultBytes():]

	ended := 0
	for i, e := range ends {
		if e > endTruncated {
			return nonFinite{}, fmt.Errorf("copy %d has end code %d, want 0 to %d", i, e, endTruncated)
		}
		s.Terminated[i] = e == endTerminated
		s.Truncated[i] = e == endTruncated
		if e != 0 {
			ended++
		}
	}
	if len(final) != 4*ended*l.obsDim {
		return nonFinite{}, fmt.Errorf("last observations of %d copies have %d bytes, want %d", ended, len(final), 4*ended*l.obsDim)
	}

	badObs := readFloats(s.Obs, obs)
	badReward := readFloats(s.Reward, reward)
	copy(s.Next, s.Obs)
	badFinal := -1
	for i, e := range ends {
		if e == 0 {
			continue
		}
		row := s.Next[i*l.obsDim : (i+1)*l.obsDim]
		if bad := readFloats(row, final); bad >= 0 && badFinal < 0 {
			badFinal = i*l.obsDim + bad
		}
		final = final[4*l.obsDim:]
	}
	switch {
	case badFinal >= 0:
		return l.locate(fieldObs, badFinal, s.Next), nil
	case badReward >= 0:
		return nonFinite{field: fieldReward, copy: badReward, value: s.Reward[badReward]}, nil
	case badObs >= 0 && ends[badObs/l.obsDim] != 0:
		return l.locate(fieldReset, badObs, s.Obs), nil
	}
	return l.locate(fieldObs, badObs, s.Obs), nil
}

// decodePicture decodes the body of a PICTURE message: height and width as uint32, then
// the pixels, which it does not copy.
func decodePicture(body []byte) (Picture, error) {
	if len(body) < 8 {
		return Picture{}, fmt.Errorf("picture has only %d bytes", len(body))
	}
	height, width := binary.LittleEndian.Uint32(body), binary.LittleEndian.Uint32(body[4:])
	p := Picture{Width: int(width), Height: int(height), RGB: body[8:]}
	if uint64(len(p.RGB)) != 3*uint64(width)*uint64(height) || width > 1<<16 || height > 1<<16 {
		return Picture{}, fmt.Errorf("picture of %dx%d pixels has %d bytes", width, height, len(p.RGB))
	}
	return p, nil
}

// A nonFinite locates the first NaN or infinity of a message; field is empty if there is
// none.
type nonFinite struct {
	field string
	copy  int
	index int // index into the observation
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
	return nonFinite{field: field, copy: at / l.obsDim, index: at % l.obsDim, value: in[at]}
}
