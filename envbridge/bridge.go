//go:build unix

package envbridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/stein-rl/stein/envbridge/envpb"
	"github.com/stein-rl/stein/internal/python"
)

// A Worker says which environment to step, and with what.
type Worker struct {
	Env    string         // Gymnasium id, or module:id for one's own
	Kwargs map[string]any // of gymnasium.make; what JSON can say
	Copies int            // in each worker; 0: 1
	// MaxSteps is a time limit of episodes instead of the registered one; 0: that.
	MaxSteps int
	// Render makes pictures possible (Bridge.Render); it costs start-up time.
	Render bool

	// Local workers only.
	Processes int    // 0: 1
	Python    string // interpreter; "": python.Find

	// Remote workers only: the client's CURVE key; nil will do for loopback.
	Key *Key

	Timeout      time.Duration // of a step or reset, then the worker counts as hung; 0: 1 min
	StartTimeout time.Duration // of a worker's start; 0: 1 min for each of its copies
	Log          *slog.Logger  // nil: no log
	Run          string        // id of the run, which the worker's log lines carry; "": none
	Clock        Clock         // nil: nobody wants to know
}

// A Clock is told how long steps take. It is called by whoever calls Recv.
type Clock interface {
	// Stepped is told of a step with an outcome: taken is from Send to the moment that
	// its outcome was at hand, waited the part of it that Recv waited for.
	Stepped(taken, waited time.Duration)
}

// Stats counts what went wrong and was mended.
type Stats struct {
	Failures uint64 // workers that died or hung
	Restarts uint64 // workers started, or sessions opened, in place of such
	Lost     uint64 // steps without an outcome
	Garbage  uint64 // messages dropped because they were no answers
}

type counters struct{ failures, restarts, lost, garbage atomic.Uint64 }

// A Bridge is an Env in worker processes. What they are told goes through one
// ZeroMQ socket each, owned by whoever calls; the goroutines behind a Bridge only
// wait for the ends of its processes, and are gone after Close.
type Bridge struct {
	spec     Spec
	members  []*member
	zctx     *zmq.Context
	dir      *socketDir // nil: workers are remote
	counters counters

	step   Step
	sent   bool      // a step is under way
	sentAt time.Time // the last one
	clock  Clock
	action []float32 // of the step under way, ours
	seed   int64
	resets int64 // of all copies after a loss, to seed the next one anew
}

var _ Env = (*Bridge)(nil)

// Start starts local workers and returns once all answer. ctx bounds the start
// alone: Close ends the workers, and so does the end of this program, however it
// comes.
func Start(ctx context.Context, w Worker) (*Bridge, error) {
	if err := w.complete(); err != nil {
		return nil, err
	}
	interpreter, err := python.Find(w.Python)
	if err != nil {
		return nil, err
	}
	b := &Bridge{clock: w.Clock}
	if b.dir, err = newSocketDir(); err != nil {
		return nil, err
	}
	env, err := python.Write(b.dir.path)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	env = append(env, singleThreaded()...)
	for i := range w.Processes {
		m := b.add(&w, strconv.Itoa(i))
		m.python, m.env, m.dir = interpreter, env, b.dir.path
	}
	return b.open(ctx)
}

// Dial connects to workers that run elsewhere, started with python -m
// stein_env.worker --listen. endpoints are tcp://host:port, comma-separated; each
// gets w.Copies copies. See Start.
func Dial(ctx context.Context, endpoints string, w Worker) (*Bridge, error) {
	if err := w.complete(); err != nil {
		return nil, err
	}
	b := &Bridge{clock: w.Clock}
	for endpoint := range strings.SplitSeq(endpoints, ",") {
		endpoint = strings.TrimSpace(endpoint)
		if err := checkEndpoint(endpoint, w.Key); err != nil {
			return nil, err
		}
		m := b.add(&w, endpoint)
		m.endpoint, m.key = endpoint, w.Key
	}
	return b.open(ctx)
}

// complete checks the settings and puts defaults where there are none.
func (w *Worker) complete() error {
	if w.Env == "" {
		return errors.New("envbridge: no environment named")
	}
	if w.Copies < 0 || w.Processes < 0 || w.MaxSteps < 0 || w.Timeout < 0 || w.StartTimeout < 0 {
		return fmt.Errorf("envbridge: %s: %d copies, %d processes, %d steps, timeouts %v and %v: none may be negative",
			w.Env, w.Copies, w.Processes, w.MaxSteps, w.Timeout, w.StartTimeout)
	}
	w.Copies = max(w.Copies, 1)
	w.Processes = max(w.Processes, 1)
	if w.Timeout == 0 {
		w.Timeout = time.Minute
	}
	if w.StartTimeout == 0 {
		w.StartTimeout = time.Duration(w.Copies) * time.Minute
	}
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (b *Bridge) add(w *Worker, name string) *member {
	m := &member{
		cfg: w, counters: &b.counters, log: w.Log, name: name,
		first: len(b.members) * w.Copies,
		tail:  &tail{log: w.Log.With("worker", name)},
	}
	b.members = append(b.members, m)
	return m
}

// open opens every member, all at once, and joins them.
func (b *Bridge) open(ctx context.Context) (*Bridge, error) {
	err := b.openAll(ctx)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Bridge) openAll(ctx context.Context) error {
	var err error
	if b.zctx, err = zmq.NewContext(); err != nil {
		return fmt.Errorf("envbridge: ZeroMQ: %w", err)
	}
	for _, m := range b.members {
		m.zctx = b.zctx
		if err := m.open(ctx); err != nil {
			return m.explain(err)
		}
	}
	for _, m := range b.members {
		spec, err := m.welcome(ctx)
		if err != nil {
			return m.explain(m.unreached(err))
		}
		if m != b.members[0] && !spec.Equal(b.members[0].spec) {
			return fmt.Errorf("envbridge: worker %s has %+v, worker %s %+v: all must be alike", m.name, spec, b.members[0].name, b.members[0].spec)
		}
		m.spec = spec
		m.layout = layout{spec.Copies, spec.ObsDim, spec.ActDim}
	}
	b.spec = b.members[0].spec
	b.spec.Copies *= len(b.members)
	b.allocate()
	return nil
}

// unreached says what an unanswered greeting can mean.
func (m *member) unreached(err error) error {
	if !errors.Is(err, errHung) {
		return err
	}
	hint := ""
	if m.endpoint != "" {
		hint = "; is one listening there"
		if m.key != nil {
			hint += ", with the server.key made together with this client.key"
		} else {
			hint += " (one with --key doesn't answer without)"
		}
		hint += "?"
	}
	return fmt.Errorf("%w within %v (env.start_timeout)%s", err, m.cfg.StartTimeout, hint)
}

func (b *Bridge) allocate() {
	n, o, a := b.spec.Copies, b.spec.ObsDim, b.spec.ActDim
	b.action = make([]float32, n*a)
	b.step = Step{
		Next: make([]float32, n*o), Obs: make([]float32, n*o), Reward: make([]float32, n),
		Terminated: make([]bool, n), Truncated: make([]bool, n),
	}
	for _, m := range b.members {
		from, to := m.first, m.first+m.spec.Copies
		m.step = Step{
			Next: b.step.Next[from*o : to*o], Obs: b.step.Obs[from*o : to*o], Reward: b.step.Reward[from:to],
			Terminated: b.step.Terminated[from:to], Truncated: b.step.Truncated[from:to],
		}
	}
}

// Spec is what the workers say of themselves, copies summed up.
func (b *Bridge) Spec() Spec { return b.spec }

// Stats may be called from any goroutine, at any time.
func (b *Bridge) Stats() Stats {
	return Stats{
		Failures: b.counters.failures.Load(), Restarts: b.counters.restarts.Load(),
		Lost: b.counters.lost.Load(), Garbage: b.counters.garbage.Load(),
	}
}

// Reset starts an episode in every copy. Copy i is seeded with the lowest 31 bits of
// seed+i, and so is its action space. The errors are those of Recv.
func (b *Bridge) Reset(ctx context.Context, seed int64) ([]float32, error) {
	if b.members == nil {
		return nil, errClosed
	}
	if seed < 0 {
		return nil, fmt.Errorf("envbridge: seed %d: Gymnasium takes none below 0", seed)
	}
	if b.sent {
		return nil, errors.New("envbridge: Reset while a step is under way: Recv it first")
	}
	b.seed, b.resets = seed, 0
	return b.step.Obs, b.reset(ctx, seed, func(*member) bool { return true })
}

// reset starts an episode in every copy of the chosen members.
func (b *Bridge) reset(ctx context.Context, seed int64, chosen func(*member) bool) error {
	for _, m := range b.members {
		if chosen(m) {
			// A worker that takes no message shows in the answer that doesn't come.
			_ = m.sendReset(seed)
		}
	}
	for _, m := range b.members {
		if !chosen(m) {
			continue
		}
		if err := m.recvReset(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Send starts a step in every worker. It refuses actions that aren't finite and
// clips those outside of [-1, 1]. It keeps nothing of action.
func (b *Bridge) Send(_ context.Context, action []float32) error {
	switch {
	case b.members == nil:
		return errClosed
	case b.sent:
		return errors.New("envbridge: Send while a step is under way: Recv it first")
	case len(action) != len(b.action):
		return fmt.Errorf("envbridge: %d numbers as actions of %d copies of %s with %d each", len(action), b.spec.Copies, b.spec.ID, b.spec.ActDim)
	}
	for i, a := range action {
		if math.IsNaN(float64(a)) || math.IsInf(float64(a), 0) {
			return fmt.Errorf("envbridge: action %v for copy %d of %s (number %d of %d)", a, i/b.spec.ActDim, b.spec.ID, i%b.spec.ActDim, b.spec.ActDim)
		}
		b.action[i] = min(max(a, -1), 1)
	}
	for _, m := range b.members {
		a := b.spec.ActDim
		// As in reset: a worker that takes no message shows in Recv.
		_ = m.sendStep(b.action[m.first*a : (m.first+m.spec.Copies)*a])
	}
	b.sent = true
	b.sentAt = time.Now()
	return nil
}

// Recv waits for the step that Send started. After an error of ctx it may be
// called again; any other error is the end of the Bridge: *RaisedError and
// *NonFiniteError from the environment, *WorkerError from a worker that can't be
// kept alive, *RefusedError.
//
// When one worker of several is lost, the episodes of the others end with its own:
// Step.Lost speaks for all copies.
func (b *Bridge) Recv(ctx context.Context) (Step, error) {
	if b.members == nil {
		return Step{}, errClosed
	}
	if !b.sent {
		return Step{}, errors.New("envbridge: Recv without Send")
	}
	lost, asked := false, time.Now()
	for _, m := range b.members {
		if !m.answered {
			if err := m.recvStep(ctx); err != nil {
				return Step{}, err
			}
		}
		lost = lost || m.lost
	}
	b.sent = false
	b.step.Lost = lost
	if lost {
		return b.step, b.afterLoss(ctx)
	}
	if b.clock != nil {
		b.clock.Stepped(time.Since(b.sentAt), time.Since(asked))
	}
	return b.step, nil
}

// afterLoss ends every episode and starts those of the workers that weren't lost.
func (b *Bridge) afterLoss(ctx context.Context) error {
	b.counters.lost.Add(1)
	b.resets++
	for i := range b.spec.Copies {
		b.step.Terminated[i], b.step.Truncated[i] = false, true
	}
	clear(b.step.Reward)
	clear(b.step.Next)
	return b.reset(ctx, b.seed+b.resets*int64(b.spec.Copies), func(m *member) bool { return !m.lost })
}

// A Picture is height·width pixels of three bytes, row after row.
type Picture struct {
	Width, Height int
	RGB           []byte
}

// Render returns a picture of one copy as it stands, between steps. The Worker
// must have Render set. A *RefusedError says why there is none, such as a machine
// without OpenGL.
func (b *Bridge) Render(ctx context.Context, copyIndex int) (Picture, error) {
	if b.members == nil {
		return Picture{}, errClosed
	}
	if b.sent || copyIndex < 0 || copyIndex >= b.spec.Copies {
		return Picture{}, fmt.Errorf("envbridge: picture of copy %d of %d, step under way: %t", copyIndex, b.spec.Copies, b.sent)
	}
	m := b.members[copyIndex/b.members[0].spec.Copies]
	if err := m.link.sendProto(kindRender, &envpb.Render{Copy: uint32(copyIndex - m.first)}); err != nil {
		return Picture{}, m.explain(err)
	}
	body, err := m.link.recv(ctx, kindPicture, m.patience(m.cfg.Timeout))
	if err != nil {
		return Picture{}, m.explain(err)
	}
	p, err := decodePicture(body)
	if err != nil {
		return Picture{}, m.explain(fmt.Errorf("%w: %w", errRefused, err))
	}
	return p, nil
}

var errClosed = fmt.Errorf("envbridge: %w", os.ErrClosed)

// Close ends the workers, waits for them, and removes their sockets. Workers get
// a few seconds to close their environments. Closing twice is no error.
func (b *Bridge) Close() error {
	for _, m := range b.members {
		m.leave()
	}
	for _, m := range b.members {
		m.gone()
	}
	b.members = nil
	var errs []error
	if b.zctx != nil {
		errs = append(errs, b.zctx.Term())
		b.zctx = nil
	}
	if b.dir != nil {
		errs = append(errs, b.dir.remove())
		b.dir = nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("envbridge: closing: %w", err)
	}
	return nil
}

var _ io.Closer = (*Bridge)(nil)

// singleThreaded keeps the linear algebra inside a worker from starting a thread
// per core, unless the user says otherwise.
func singleThreaded() []string {
	var env []string
	for _, name := range []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} {
		if os.Getenv(name) == "" {
			env = append(env, name+"=1")
		}
	}
	return env
}

// product of a shape; -1 when it is beyond any frame.
func product(shape []uint32) int {
	p := 1
	for _, s := range shape {
		if s == 0 {
			return 0
		}
		if p *= int(s); p > maxMessageBytes || int(s) > maxMessageBytes {
			return -1
		}
	}
	return p
}
