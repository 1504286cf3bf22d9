package envbridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"sync/atomic"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4"
	"google.golang.org/protobuf/proto"

	"github.com/stein-rl/stein/envbridge/envpb"
)

// Why a request got no answer. Both mean that the worker is to be replaced.
var (
	errHung = errors.New("no answer")
	errDied = errors.New("worker died")
)

// glance is how often a wait looks up from the socket, at the context and at
// whether the worker lives.
const glance = 20 * time.Millisecond

// A link is one socket to one worker. ZeroMQ's sockets are not safe for concurrent
// use: whoever uses the Env owns it, and no goroutine stands behind it.
type link struct {
	sock    *zmq.Socket
	name    string
	log     *slog.Logger
	garbage *atomic.Uint64

	seq    uint64 // of the last request
	head   []byte
	frames [][]byte
}

// openLink connects to an endpoint, which need not be there yet.
func openLink(zctx *zmq.Context, endpoint string, key *Key) (*link, error) {
	sock, err := zctx.NewSocket(zmq.DEALER)
	if err != nil {
		return nil, fmt.Errorf("opening a socket: %w", err)
	}
	l := &link{sock: sock, frames: make([][]byte, 0, maxFrames)}
	if err := l.connect(endpoint, key); err != nil {
		_ = sock.Close()
		return nil, err
	}
	return l, nil
}

func (l *link) connect(endpoint string, key *Key) error {
	settings := []error{
		l.sock.SetLinger(0),
		l.sock.SetMaxmsgsize(maxFrameBytes),
		l.sock.SetRcvtimeo(glance),
		l.sock.SetSndtimeo(glance),
		l.sock.SetReconnectIvl(10 * time.Millisecond),
		l.sock.SetReconnectIvlMax(time.Second),
	}
	if key != nil {
		settings = append(settings, key.apply(l.sock))
	}
	if err := errors.Join(settings...); err != nil {
		return fmt.Errorf("setting up a socket: %w", err)
	}
	if err := l.sock.Connect(endpoint); err != nil {
		return fmt.Errorf("connecting to %s: %w", endpoint, err)
	}
	return nil
}

// send sends a request with one body frame.
func (l *link) send(k kind, body []byte) error {
	l.seq++
	l.head = header{version, k, l.seq}.append(l.head[:0])
	if _, err := l.sock.SendBytes(l.head, zmq.SNDMORE); err != nil {
		return fmt.Errorf("%w: it takes no message: %w", errHung, err)
	}
	if _, err := l.sock.SendBytes(body, 0); err != nil {
		return fmt.Errorf("%w: it takes no message: %w", errHung, err)
	}
	return nil
}

func (l *link) sendProto(k kind, m proto.Message) error {
	body, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding %T: %w", m, err)
	}
	return l.send(k, body)
}

// A wait bounds how long an answer may take.
type wait struct {
	until time.Time
	died  <-chan struct{} // closed when the worker is gone; nil: it can't be told
}

// recv waits for the answer to the last request and returns its frames but the
// header, valid until the next call. Anything else is dropped and counted. A
// Failure comes back as *failure.
func (l *link) recv(ctx context.Context, want kind, w wait) ([][]byte, error) {
	for {
		if err := l.message(ctx, w); err != nil {
			return nil, err
		}
		if len(l.frames) == 0 || len(l.frames) > maxFrames {
			l.drop(fmt.Errorf("message of %d or more frames", len(l.frames)))
			continue
		}
		h, err := parseHeader(l.frames[0])
		if err != nil {
			l.drop(err)
			continue
		}
		body := l.frames[1:]
		switch {
		case h.seq != l.seq:
			l.drop(fmt.Errorf("answer to request %d, want %d", h.seq, l.seq))
		case h.kind == kindFailure && len(body) == 1:
			f := new(envpb.Failure)
			if err := proto.Unmarshal(body[0], f); err != nil {
				l.drop(fmt.Errorf("failure: %w", err))
				continue
			}
			return nil, &failure{f}
		case h.version != version:
			return nil, &failure{&envpb.Failure{
				Code: envpb.Failure_VERSION,
				Message: fmt.Sprintf("it speaks protocol version %d, this program %d: bring stein and stein_env to the same release",
					h.version, version),
			}}
		case h.kind != want:
			l.drop(fmt.Errorf("message of kind %d, want %d", h.kind, want))
		default:
			return body, nil
		}
	}
}

// message fills l.frames with the next message. Of one with too many frames it
// keeps the first maxFrames+1.
func (l *link) message(ctx context.Context, w wait) error {
	l.frames = l.frames[:0]
	first, err := l.first(ctx, w)
	if err != nil {
		return err
	}
	l.frames = append(l.frames, first)
	for {
		more, err := l.sock.GetRcvmore()
		if err != nil {
			return fmt.Errorf("%w: %w", errHung, err)
		}
		if !more {
			return nil
		}
		// The parts of a message arrive together.
		frame, err := l.sock.RecvBytes(zmq.DONTWAIT)
		if err != nil {
			return fmt.Errorf("%w: %w", errHung, err)
		}
		if len(l.frames) <= maxFrames {
			l.frames = append(l.frames, frame)
		}
	}
}

// first waits for the first frame of a message.
func (l *link) first(ctx context.Context, w wait) ([]byte, error) {
	for {
		frame, err := l.sock.RecvBytes(0)
		if err == nil {
			return frame, nil
		}
		if zmq.AsErrno(err) != zmq.Errno(syscall.EAGAIN) {
			return nil, fmt.Errorf("%w: %w", errHung, err)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("envbridge: waiting for worker %s: %w", l.name, err)
		}
		select {
		case <-w.died:
			return nil, errDied
		default:
		}
		if time.Now().After(w.until) {
			return nil, errHung
		}
	}
}

// drop counts a message that is none of ours, and logs the 1st, 2nd, 4th, 8th ...
func (l *link) drop(why error) {
	if n := l.garbage.Add(1); bits.OnesCount64(n) == 1 {
		l.log.Warn("dropped a message that isn't an answer", "worker", l.name, "why", why, "so_far", n)
	}
}

// bye tells the worker that this client is leaving, and closes the socket.
func (l *link) bye() {
	_ = l.sock.SetLinger(200 * time.Millisecond)
	_ = l.send(kindBye, nil)
	_ = l.sock.Close()
}

func (l *link) close() { _ = l.sock.Close() }

// A failure is an answer of kind FAILURE.
type failure struct{ *envpb.Failure }

func (f *failure) Error() string { return f.GetMessage() }
