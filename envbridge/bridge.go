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

// A Worker describes the environment that a worker process steps.
type Worker struct {
	Env    string         // Gymnasium id, or module:id for a custom environment
	Kwargs map[string]any // arguments of gymnasium.make; JSON values
	Copies int            // per worker; 0: 1
	// MaxSteps replaces the registered time limit of episodes; 0: keep it.
	MaxSteps int
	// Render enables Bridge.Render; it lengthens the start.
	Render bool

	// Local workers only.
	Processes int    // 0: 1
	Python    string // interpreter; "": python.Find

	// Remote workers only: the client's CURVE key; nil is enough for loopback.
	Key *Key

	Timeout      time.Duration // of a step or reset; a slower worker counts as hung; 0: 1 min
	StartTimeout time.Duration // of a worker's start; 0: 1 min per copy
	Log          *slog.Logger  // nil: no log
	Run          string        // id of the run, for the worker's log lines; "": none
	Clock        Clock         // may be nil
}

// A Clock receives the duration of each step. Recv calls it.
type Clock interface {
	// Stepped reports a step with an outcome. taken is the time from Send to the arrival
	// of the outcome, waited the part of it spent in Recv.
	Stepped(taken, waited time.Duration)
}

// Stats counts failures and recoveries.
type Stats struct {
	Failures uint64 // workers that died or hung
	Restarts uint64 // workers started, or sessions opened, to replace failed ones
	Lost     uint64 // steps without an outcome
	Garbage  uint64 // messages dropped because they were not valid answers
}

type counters struct{ failures, restarts, lost, garbage atomic.Uint64 }

// A Bridge is an Env in worker processes. It talks to each worker over one ZeroMQ socket,
// which belongs to the caller. Its goroutines only wait for processes to end, and are
// gone after Close.
type Bridge struct {
	spec     Spec
	members  []*member
	zctx     *zmq.Context
	dir      *socketDir // nil: workers are remote
	counters counters

	step   Step
	sent   bool      // a step is in progress
	sentAt time.Time // time of the last Send
	clock  Clock
	action []float32 // of the step in progress, copied
	seed   int64
	resets int64 // resets of all copies after a loss, to seed the next one
}

var _ Env = (*Bridge)(nil)

// Start starts local workers and returns once all have answered. ctx bounds only the
// start. Close ends the workers; they also end when this program does.
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

// Dial connects to remote workers, started with python -m stein_env.worker --listen.
// endpoints are tcp://host:port, separated by commas; each has w.Copies copies. See
// Start.
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

// complete validates the settings and fills in defaults.
func (w *Worker) complete() error {
	if w.Env == "" {
		return errors.New("envbridge: no environment given")
	}
	if w.Copies < 0 || w.Processes < 0 || w.MaxSteps < 0 || w.Timeout < 0 || w.StartTimeout < 0 {
		return fmt.Errorf("envbridge: %s: %d copies, %d processes, %d steps, timeouts %v and %v: want numbers of at least 0",
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

// open opens every member concurrently and combines their specs.
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
			return fmt.Errorf("envbridge: all workers must have the same environment: worker %s has %s, worker %s has %s", m.name, spec, b.members[0].name, b.members[0].spec)
		}
		m.spec = spec
		m.layout = layout{spec.Copies, spec.ObsDim, spec.ActDim}
	}
	b.spec = b.members[0].spec
	b.spec.Copies *= len(b.members)
	b.allocate()
	return nil
}

// unreached explains why a worker may not have answered the greeting.
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

// Spec is the workers' common spec, with their copies added up.
func (b *Bridge) Spec() Spec { return b.spec }

// Stats may be called from any goroutine.
func (b *Bridge) Stats() Stats {
	return Stats{
		Failures: b.counters.failures.Load(), Restarts: b.counters.restarts.Load(),
		Lost: b.counters.lost.Load(), Garbage: b.counters.garbage.Load(),
	}
}

// Reset starts an episode in every copy. The lowest 31 bits of seed+i seed copy i and its
// action space. Errors are those of Recv.
func (b *Bridge) Reset(ctx context.Context, seed int64) ([]float32, error) {
	if b.members == nil {
		return nil, errClosed
	}
	if seed < 0 {
		return nil, fmt.Errorf("envbridge: seed %d: Gymnasium needs at least 0", seed)
	}
	if b.sent {
		return nil, errors.New("envbridge: Reset during a step: call Recv first")
	}
	b.seed, b.resets = seed, 0
	return b.step.Obs, b.reset(ctx, seed, func(*member) bool { return true })
}

// reset starts an episode in every copy of the chosen members.
func (b *Bridge) reset(ctx context.Context, seed int64, chosen func(*member) bool) error {
	for _, m := range b.members {
		if chosen(m) {
			// A worker that cannot be sent to is detected when its answer does not come.
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

// Send starts a step in every worker. It rejects actions that are not finite and clips
// the others to [-1, 1]. It does not keep action.
func (b *Bridge) Send(_ context.Context, action []float32) error {
	switch {
	case b.members == nil:
		return errClosed
	case b.sent:
		return errors.New("envbridge: Send during a step: call Recv first")
	case len(action) != len(b.action):
		return fmt.Errorf("envbridge: got %d action numbers for %d copies of %s with %d each", len(action), b.spec.Copies, b.spec.ID, b.spec.ActDim)
	}
	for i, a := range action {
		if math.IsNaN(float64(a)) || math.IsInf(float64(a), 0) {
			return fmt.Errorf("envbridge: action %v for copy %d of %s (number %d of %d)", a, i/b.spec.ActDim, b.spec.ID, i%b.spec.ActDim, b.spec.ActDim)
		}
		b.action[i] = min(max(a, -1), 1)
	}
	for _, m := range b.members {
		a := b.spec.ActDim
		// As in reset, Recv detects a worker that cannot be sent to.
		_ = m.sendStep(b.action[m.first*a : (m.first+m.spec.Copies)*a])
	}
	b.sent = true
	b.sentAt = time.Now()
	return nil
}

// Recv waits for the step that Send started. After an error of ctx it may be called
// again. Any other error ends the Bridge: *RaisedError and *NonFiniteError from the
// environment, *WorkerError for a worker that keeps failing, *RefusedError.
//
// If one of several workers is lost, all episodes end: Step.Lost applies to all copies.
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

// afterLoss ends every episode and resets the workers that were not lost.
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

// A Picture is height·width pixels of three bytes, row by row.
type Picture struct {
	Width, Height int
	RGB           []byte
}

// Render returns an image of one copy between steps. It needs Worker.Render. A
// *RefusedError says why it failed, for instance on a machine without OpenGL.
func (b *Bridge) Render(ctx context.Context, copyIndex int) (Picture, error) {
	if b.members == nil {
		return Picture{}, errClosed
	}
	if b.sent || copyIndex < 0 || copyIndex >= b.spec.Copies {
		return Picture{}, fmt.Errorf("envbridge: cannot render copy %d of %d (step in progress: %t)", copyIndex, b.spec.Copies, b.sent)
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

// Close ends the workers, waits for them, and removes their sockets. Workers have a few
// seconds to close their environments. Close may be called twice.
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

// singleThreaded stops a worker's linear algebra from starting a thread per core, unless
// the user has set it.
func singleThreaded() []string {
	var env []string
	for _, name := range []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} {
		if os.Getenv(name) == "" {
			env = append(env, name+"=1")
		}
	}
	return env
}

// product multiplies a shape; it is -1 if it exceeds any frame.
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
