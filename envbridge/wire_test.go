package envbridge

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/stein-rl/stein/envbridge/envpb"
)

var update = flag.Bool("update", false, "write the message of each case in testdata/frames anew")

// A golden is one message in testdata/frames, which python_env/tests/test_wire.py
// tests too. Message is what both sides must write, or read, for the rest.
type golden struct {
	About   string          `json:"about"`
	Kind    kind            `json:"kind"`
	Seq     uint64          `json:"seq"`
	Layout  *goldenLayout   `json:"layout,omitempty"` // of array messages
	Action  []float32       `json:"action,omitempty"`
	Obs     []float32       `json:"obs,omitempty"`
	Reward  []float32       `json:"reward,omitempty"`
	Ends    []int           `json:"ends,omitempty"`
	Final   []float32       `json:"final,omitempty"`
	Picture *goldenPicture  `json:"picture,omitempty"`
	Proto   json.RawMessage `json:"proto,omitempty"` // of control messages
	Message string          `json:"message"`         // hexadecimal
}

type goldenLayout struct {
	Copies int `json:"copies"`
	ObsDim int `json:"obs_dim"`
	ActDim int `json:"act_dim"`
}

type goldenPicture struct {
	Height int   `json:"height"`
	Width  int   `json:"width"`
	RGB    []int `json:"rgb"`
}

var controls = map[kind]func() proto.Message{
	kindHello:   func() proto.Message { return new(envpb.Hello) },
	kindWelcome: func() proto.Message { return new(envpb.Welcome) },
	kindReset:   func() proto.Message { return new(envpb.Reset) },
	kindRender:  func() proto.Message { return new(envpb.Render) },
	kindFailure: func() proto.Message { return new(envpb.Failure) },
}

// Ensure that messages are, byte for byte, what they were when this version of the
// protocol was fixed, and what the Python side writes and reads.
func TestGoldenFrames(t *testing.T) {
	paths, err := filepath.Glob("testdata/frames/*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(paths), 11)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			var g golden
			require.NoError(t, json.Unmarshal(data, &g))
			if *update {
				g.Message = hex.EncodeToString(g.encode(t))
				data, err := json.MarshalIndent(g, "", "  ")
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(path, append(data, '\n'), 0o644))
			}
			require.Equal(t, g.Message, hex.EncodeToString(g.encode(t)))
			g.decode(t)
		})
	}
}

// encode builds the message out of the case.
func (g golden) encode(t *testing.T) []byte {
	m := header{version, g.Kind, g.Seq}.append(nil)
	switch {
	case controls[g.Kind] != nil:
		p := controls[g.Kind]()
		require.NoError(t, protojson.Unmarshal(g.Proto, p))
		var err error
		m, err = proto.MarshalOptions{Deterministic: true}.MarshalAppend(m, p)
		require.NoError(t, err)
	case g.Kind == kindStep:
		m = appendFloats(m, g.Action)
	case g.Kind == kindObs:
		m = appendFloats(m, g.Obs)
	case g.Kind == kindResult:
		m = appendResult(m, g.Obs, g.Reward, g.ends(), g.Final)
	case g.Kind == kindPicture:
		m = append(m, byte(g.Picture.Height), 0, 0, 0, byte(g.Picture.Width), 0, 0, 0)
		for _, v := range g.Picture.RGB {
			m = append(m, byte(v))
		}
	}
	return m
}

func (g golden) ends() []byte {
	ends := make([]byte, len(g.Ends))
	for i, e := range g.Ends {
		ends[i] = byte(e)
	}
	return ends
}

// appendResult is the sentence of docs/protocol.md on RESULT, written once more.
func appendResult(m []byte, obs, reward []float32, ends []byte, final []float32) []byte {
	m = appendFloats(m, obs)
	m = appendFloats(m, reward)
	m = append(m, ends...)
	for range (4 - len(ends)%4) % 4 {
		m = append(m, 0)
	}
	return appendFloats(m, final)
}

// decode reads the message and compares with the case.
func (g golden) decode(t *testing.T) {
	message, err := hex.DecodeString(g.Message)
	require.NoError(t, err)
	h, body, err := parseMessage(message)
	require.NoError(t, err)
	require.Equal(t, header{version, g.Kind, g.Seq}, h)
	var l layout
	if g.Layout != nil {
		l = layout{g.Layout.Copies, g.Layout.ObsDim, g.Layout.ActDim}
	}
	switch {
	case controls[g.Kind] != nil:
		want, got := controls[g.Kind](), controls[g.Kind]()
		require.NoError(t, protojson.Unmarshal(g.Proto, want))
		require.NoError(t, proto.Unmarshal(body, got))
		require.True(t, proto.Equal(want, got))
	case g.Kind == kindStep:
		action := make([]float32, len(g.Action))
		require.Len(t, body, l.actionBytes())
		readFloats(action, body)
		require.Equal(t, g.Action, action)
	case g.Kind == kindObs:
		obs := make([]float32, l.copies*l.obsDim)
		bad, err := l.decodeObs(body, obs)
		require.NoError(t, err)
		require.Empty(t, bad.field)
		require.Equal(t, g.Obs, obs)
	case g.Kind == kindResult:
		s := newStep(l)
		bad, err := l.decodeResult(body, &s)
		require.NoError(t, err)
		require.Empty(t, bad.field)
		require.Equal(t, g.Obs, s.Obs)
		require.Equal(t, g.Reward, s.Reward)
		final := g.Final
		for i, e := range g.Ends {
			require.Equal(t, e == endTerminated, s.Terminated[i])
			require.Equal(t, e == endTruncated, s.Truncated[i])
			next := s.Next[i*l.obsDim : (i+1)*l.obsDim]
			if e == 0 {
				require.Equal(t, s.Obs[i*l.obsDim:(i+1)*l.obsDim], next)
				continue
			}
			require.Equal(t, final[:l.obsDim], next)
			final = final[l.obsDim:]
		}
	case g.Kind == kindPicture:
		p, err := decodePicture(body)
		require.NoError(t, err)
		require.Equal(t, g.Picture.Height, p.Height)
		require.Equal(t, g.Picture.Width, p.Width)
		require.Len(t, p.RGB, len(g.Picture.RGB))
	default:
		require.Equal(t, kindBye, g.Kind)
		require.Empty(t, body)
	}
}

func newStep(l layout) Step {
	return Step{
		Next: make([]float32, l.copies*l.obsDim), Obs: make([]float32, l.copies*l.obsDim),
		Reward: make([]float32, l.copies), Terminated: make([]bool, l.copies), Truncated: make([]bool, l.copies),
	}
}

// Ensure that what isn't finite is found, and the first of it by what came first:
// an outcome before the reset that followed it.
func TestLocatesNonFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	l := layout{copies: 2, obsDim: 2, actDim: 1}
	for name, c := range map[string]struct {
		obs, reward []float32
		ends        []byte
		final       []float32
		want        nonFinite
	}{
		"none":        {[]float32{1, 2, 3, 4}, []float32{1, 2}, []byte{0, 0}, nil, nonFinite{}},
		"observation": {[]float32{1, 2, 3, inf}, []float32{1, 2}, []byte{0, 0}, nil, nonFinite{fieldObs, 1, 1, inf}},
		"reward":      {[]float32{1, 2, 3, inf}, []float32{1, inf}, []byte{0, 0}, nil, nonFinite{fieldReward, 1, 0, inf}},
		"reset":       {[]float32{1, 2, inf, 4}, []float32{1, 2}, []byte{0, 1}, []float32{5, 6}, nonFinite{fieldReset, 1, 0, inf}},
		"final":       {[]float32{1, 2, inf, 4}, []float32{1, nan}, []byte{0, 2}, []float32{5, inf}, nonFinite{fieldObs, 1, 1, inf}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStep(l)
			got, err := l.decodeResult(appendResult(nil, c.obs, c.reward, c.ends, c.final), &s)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// Ensure that bodies of another size are refused.
func TestRefusesSizes(t *testing.T) {
	l := layout{copies: 2, obsDim: 2, actDim: 1}
	good := appendResult(nil, make([]float32, 4), make([]float32, 2), []byte{1, 0}, make([]float32, 2))
	s := newStep(l)
	for n := range good {
		_, err := l.decodeResult(good[:n], &s)
		require.Error(t, err, n)
	}
	_, err := l.decodeResult(good, &s)
	require.NoError(t, err)
	_, err = l.decodeResult(append(good, 0), &s)
	require.ErrorContains(t, err, "last observations of 1 copies have 9 bytes, want 8")
	good[24] = 3
	_, err = l.decodeResult(good, &s)
	require.ErrorContains(t, err, "copy 0 has end code 3")
	_, err = l.decodeObs(make([]byte, 15), s.Obs)
	require.ErrorContains(t, err, "15 bytes, want 16")
	_, err = decodePicture([]byte{1, 0, 0, 0, 1, 0, 0, 0, 9, 9})
	require.ErrorContains(t, err, "picture of 1x1 pixels has 2 bytes")
}

// FuzzDecode feeds the decoders what they would read from a socket.
func FuzzDecode(f *testing.F) {
	paths, _ := filepath.Glob("testdata/frames/*.json")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		var g golden
		require.NoError(f, json.Unmarshal(data, &g))
		message, err := hex.DecodeString(g.Message)
		require.NoError(f, err)
		f.Add(message, uint8(2), uint8(3))
	}
	f.Fuzz(func(t *testing.T, message []byte, copies, obsDim uint8) {
		h, body, err := parseMessage(message)
		if err != nil {
			return
		}
		require.Equal(t, message[:6], h.append(nil)[:6])
		l := layout{max(int(copies), 1), max(int(obsDim), 1), 1}
		s := newStep(l)
		if bad, err := l.decodeResult(body, &s); err == nil {
			require.Less(t, bad.copy, l.copies)
			require.Less(t, bad.index, l.obsDim)
			for i := range l.copies {
				require.False(t, s.Terminated[i] && s.Truncated[i])
			}
		}
		_, _ = l.decodeObs(body, s.Obs)
		if p, err := decodePicture(body); err == nil {
			require.Len(t, p.RGB, 3*p.Width*p.Height)
		}
		_ = proto.Unmarshal(body, new(envpb.Welcome))
	})
}
