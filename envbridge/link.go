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
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/stein-rl/stein/envbridge/envpb"
)

// Why a request got no answer. In both cases the worker must be replaced.
var (
	errHung = errors.New("no answer")
	errDied = errors.New("worker died")
)

// glance is the interval at which a wait checks the context and whether the worker is
// alive.
const glance = 20 * time.Millisecond

// eager is how long a wait polls, yielding its processor in between, before it sleeps. A
// step of one environment takes about as long, and waking a sleeping thread takes as long
// again.
const eager = 300 * time.Microsecond

// A link is one socket to one worker. ZeroMQ's sockets are not safe for concurrent use;
// the goroutine that uses the Env owns it.
type link struct {
	sock    *zmq.Socket
	name    string
	log     *slog.Logger
	garbage *atomic.Uint64

	seq uint64 // of the last request
	out []byte // the last request

	fd    int32          // of the socket: readable if RecvBytes may succeed
	ready [1]unix.PollFd // of idle
}

// openLink connects to an endpoint, which may not exist yet.
func openLink(zctx *zmq.Context, endpoint string, key *Key) (*link, error) {
	sock, err := zctx.NewSocket(zmq.DEALER)
	if err != nil {
		return nil, fmt.Errorf("opening a socket: %w", err)
	}
	l := &link{sock: sock}
	if err := l.connect(endpoint, key); err != nil {
		_ = sock.Close()
		return nil, err
	}
	return l, nil
}

func (l *link) connect(endpoint string, key *Key) error {
	settings := []error{
		l.sock.SetLinger(0),
		l.sock.SetMaxmsgsize(maxMessageBytes),
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
	fd, err := l.sock.GetFd()
	if err != nil {
		return fmt.Errorf("setting up a socket: %w", err)
	}
	l.fd = int32(fd)
	return nil
}

// begin returns the header of a new request, to which the caller appends the body; send
// sends it.
func (l *link) begin(k kind) []byte {
	l.seq++
	return header{version, k, l.seq}.append(l.out[:0])
}

func (l *link) send(message []byte) error {
	l.out = message
	if _, err := l.sock.SendBytes(message, 0); err != nil {
		return fmt.Errorf("%w: it does not accept messages: %w", errHung, err)
	}
	return nil
}

func (l *link) sendProto(k kind, m proto.Message) error {
	message, err := proto.MarshalOptions{}.MarshalAppend(l.begin(k), m)
	if err != nil {
		return fmt.Errorf("encoding %T: %w", m, err)
	}
	return l.send(message)
}

// A wait bounds how long an answer may take.
type wait struct {
	until time.Time
	died  <-chan struct{} // closed when the worker ends; nil: unknown
}

// recv waits for the answer to the last request and returns its body. It drops and counts
// other messages. A Failure is returned as *failure.
func (l *link) recv(ctx context.Context, want kind, w wait) ([]byte, error) {
	for {
		message, err := l.message(ctx, w)
		if err != nil {
			return nil, err
		}
		extra, err := l.skip()
		if err != nil {
			return nil, err
		}
		if extra > 0 {
			l.drop(fmt.Errorf("message of %d frames", extra+1))
			continue
		}
		h, body, err := parseMessage(message)
		switch {
		case err != nil:
			l.drop(err)
		case h.seq != l.seq:
			l.drop(fmt.Errorf("answer to request %d, want %d", h.seq, l.seq))
		case h.kind == kindFailure:
			f := new(envpb.Failure)
			if err := proto.Unmarshal(body, f); err != nil {
				l.drop(fmt.Errorf("failure: %w", err))
				continue
			}
			return nil, &failure{f}
		case h.version != version:
			return nil, &failure{&envpb.Failure{
				Code: envpb.Failure_VERSION,
				Message: fmt.Sprintf("the worker uses protocol version %d, this program version %d: install the same release of stein and stein_env",
					h.version, version),
			}}
		case h.kind != want:
			l.drop(fmt.Errorf("message of kind %d, want %d", h.kind, want))
		default:
			return body, nil
		}
	}
}

// skip reads the rest of a multi-frame message and returns the number of frames.
func (l *link) skip() (frames int, err error) {
	for {
		more, err := l.sock.GetRcvmore()
		if err != nil {
			return frames, fmt.Errorf("%w: %w", errHung, err)
		}
		if !more {
			return frames, nil
		}
		// All frames of a message arrive together.
		if _, err := l.sock.RecvBytes(zmq.DONTWAIT); err != nil {
			return frames, fmt.Errorf("%w: %w", errHung, err)
		}
		frames++
	}
}

// message waits for the first frame of a message.
func (l *link) message(ctx context.Context, w wait) ([]byte, error) {
	awake := time.Now().Add(eager)
	for {
		var flags zmq.Flag
		if time.Now().Before(awake) {
			flags = zmq.DONTWAIT
		}
		frame, err := l.sock.RecvBytes(flags)
		if err == nil {
			return frame, nil
		}
		if zmq.AsErrno(err) != zmq.Errno(syscall.EAGAIN) {
			return nil, fmt.Errorf("%w: %w", errHung, err)
		}
		if flags == zmq.DONTWAIT {
			l.idle(awake)
			continue
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

// idle yields the processor until something happens on the socket, or until then. Polling
// the socket's file descriptor does not allocate; RecvBytes would, each time it finds
// nothing.
func (l *link) idle(then time.Time) {
	l.ready[0] = unix.PollFd{Fd: l.fd, Events: unix.POLLIN}
	for time.Now().Before(then) {
		if n, err := unix.Poll(l.ready[:], 0); n != 0 || err != nil {
			return
		}
		yieldProcessor()
	}
}

// drop counts a message that is not an answer, and logs the 1st, 2nd, 4th, 8th ...
func (l *link) drop(why error) {
	if n := l.garbage.Add(1); bits.OnesCount64(n) == 1 {
		l.log.Warn("dropped an unexpected message", "worker", l.name, "why", why, "so_far", n)
	}
}

// bye tells the worker that this client leaves, and closes the socket.
func (l *link) bye() {
	_ = l.sock.SetLinger(200 * time.Millisecond)
	_ = l.send(l.begin(kindBye))
	_ = l.sock.Close()
}

func (l *link) close() { _ = l.sock.Close() }

// A failure is an answer of kind FAILURE.
type failure struct{ *envpb.Failure }

func (f *failure) Error() string { return f.GetMessage() }
