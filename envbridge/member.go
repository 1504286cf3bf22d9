//go:build unix

package envbridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	zmq "github.com/pebbe/zmq4"
	"google.golang.org/protobuf/proto"

	"github.com/stein-rl/stein/envbridge/envpb"
	"github.com/stein-rl/stein/internal/venv"
)

const (
	// maxFailures in a row, without a step in between, end a run.
	maxFailures = 3
	// reseed keeps a replaced worker from repeating its first episodes: replacement g is
	// seeded as if its copies were numbered g·reseed higher.
	reseed = 1_000_003
	// MaxSeed is the largest seed that every environment accepts: generators in C and
	// NumPy's old ones use 31 bits.
	MaxSeed = 1<<31 - 1
	// stillStarting is the interval of log lines about a slow start.
	stillStarting = 10 * time.Second
	// farewell is the time that a worker has to close its environments.
	farewell = 3 * time.Second
)

// A member is one worker of a Bridge: the link to it and, if it is local, its process. A
// member replaces a worker that dies or hangs.
type member struct {
	cfg      *Worker
	counters *counters
	zctx     *zmq.Context
	log      *slog.Logger
	name     string // number or endpoint, for messages
	first    int    // number of its first copy

	endpoint string   // remote: tcp://host:port
	key      *Key     // remote: may be nil for loopback
	host     Host     // remote: provides the endpoint for post; nil: endpoint is set
	post     Post     //
	python   string   // local: interpreter, variables, folder of sockets
	env      []string //
	dir      string   //

	proc *process // local, running
	tail *tail    // local: its output, across replacements
	link *link

	spec       Spec
	layout     layout
	generation int
	failures   int
	seed       int64
	steps      uint64
	action     []float32 // the current action, for errors; owned by the caller
	step       Step      // its part of the bridge's arrays

	answered bool // in the current step
	lost     bool // replaced in the current step
}

// open starts the process if the worker is local, and connects.
func (m *member) open(ctx context.Context) error {
	if m.host != nil {
		if err := m.locate(ctx); err != nil {
			return err
		}
	}
	endpoint := m.endpoint
	if endpoint == "" {
		path := filepath.Join(m.dir, m.name+"."+strconv.Itoa(m.generation))
		endpoint = "ipc://" + path
		args := []string{"-m", "stein_env.worker", "--child", "--listen", endpoint}
		p, err := startProcess(m.python, args, m.env, m.tail)
		if err != nil {
			return &WorkerError{Worker: m.name, Failures: 1, Err: err}
		}
		m.proc = p
	}
	l, err := openLink(m.zctx, endpoint, m.key)
	if err != nil {
		return &WorkerError{Worker: m.name, Failures: 1, Err: err}
	}
	l.name, l.log, l.garbage = m.name, m.log, &m.counters.garbage
	m.link = l
	return m.hello()
}

func (m *member) hello() error {
	kwargs, err := encodeKwargs(m.cfg.Kwargs)
	if err != nil {
		return fmt.Errorf("envbridge: %s: %w", m.cfg.Env, err)
	}
	host, _ := os.Hostname()
	return m.link.sendProto(kindHello, &envpb.Hello{
		Env:             m.cfg.Env,
		Copies:          uint32(m.cfg.Copies),
		KwargsJson:      kwargs,
		Render:          m.cfg.Render,
		MaxEpisodeSteps: uint32(m.cfg.MaxSteps),
		Client:          fmt.Sprintf("%s:%d", host, os.Getpid()),
		Run:             m.cfg.Run,
	})
}

// welcome waits for the answer to hello.
func (m *member) welcome(ctx context.Context) (Spec, error) {
	body, err := m.firstAnswer(ctx)
	if err != nil {
		return Spec{}, err
	}
	w := new(envpb.Welcome)
	if err := proto.Unmarshal(body, w); err != nil {
		return Spec{}, fmt.Errorf("%w: decoding its welcome: %w", errRefused, err)
	}
	spec := Spec{
		ID:       w.GetEnv(),
		Copies:   int(w.GetCopies()),
		ObsDim:   product(w.GetObsShape()),
		ActDim:   product(w.GetActShape()),
		MaxSteps: int(w.GetMaxSteps()),
		FPS:      w.GetRenderFps(),
		ObsShape: integers(w.GetObsShape()),
		ActShape: integers(w.GetActShape()),
	}
	if !(spec.FPS > 0 && spec.FPS < math.MaxFloat32) {
		spec.FPS = 0 // specs are compared: no NaN
	}
	if spec.Copies != m.cfg.Copies || spec.ObsDim < 1 || spec.ActDim < 1 {
		return Spec{}, fmt.Errorf("%w: its welcome has %d copies, observation %v, action %v; requested %d copies", errRefused,
			spec.Copies, w.GetObsShape(), w.GetActShape(), m.cfg.Copies)
	}
	if spec.Bounds, err = boundsOf(w.GetActLow(), w.GetActHigh(), spec.ActDim); err != nil {
		return Spec{}, fmt.Errorf("%w: its welcome: %w", errRefused, err)
	}
	l := layout{spec.Copies, spec.ObsDim, spec.ActDim}
	if headerBytes+max(l.resultBytes()+l.obsBytes(), l.actionBytes()) > maxMessageBytes {
		return Spec{}, fmt.Errorf("%w: %d copies with observations of %d numbers exceed the message limit of %d bytes", errRefused,
			spec.Copies, spec.ObsDim, maxMessageBytes)
	}
	m.log.Info("worker ready", "worker", m.name, "env", spec.ID, "copies", spec.Copies, "pid", w.GetPid(), "versions", w.GetVersions())
	return spec, nil
}

// boundsOf validates the bounds in a welcome. Other programs' workers may omit them.
func boundsOf(low, high []float64, actDim int) (*Bounds, error) {
	if len(low) == 0 && len(high) == 0 {
		return nil, nil
	}
	if len(low) != actDim || len(high) != actDim {
		return nil, fmt.Errorf("%d lower and %d upper bounds for actions of %d numbers", len(low), len(high), actDim)
	}
	for i := range low {
		// Infinite and NaN bounds fail this too.
		if !(low[i] >= -math.MaxFloat64 && low[i] <= high[i] && high[i] <= math.MaxFloat64) {
			return nil, fmt.Errorf("bounds of action number %d are %g and %g", i, low[i], high[i])
		}
	}
	return &Bounds{low, high}, nil
}

func integers(shape []uint32) []int {
	out := make([]int, len(shape))
	for i, n := range shape {
		out[i] = int(n)
	}
	return out
}

// firstAnswer waits for a worker's start and logs its progress: a simulator may take
// minutes to load.
func (m *member) firstAnswer(ctx context.Context) ([]byte, error) {
	began := time.Now()
	end := began.Add(m.cfg.StartTimeout)
	for {
		w := m.patience(min(time.Until(end), stillStarting, m.cfg.StartTimeout/4))
		body, err := m.link.recv(ctx, kindWelcome, w)
		if !errors.Is(err, errHung) || !time.Now().Before(end) {
			return body, err
		}
		m.log.Info("waiting for a worker to start", "worker", m.name, "env", m.cfg.Env, "copies", m.cfg.Copies,
			"seconds", int(time.Since(began).Seconds()), "limit", m.cfg.StartTimeout)
	}
}

// errRefused marks errors of this side that retrying cannot fix.
var errRefused = errors.New("unusable worker")

// errGarbled marks an answer that is incomplete.
var errGarbled = errors.New("unreadable answer")

func (m *member) patience(d time.Duration) wait {
	w := wait{until: time.Now().Add(d)}
	if m.proc != nil {
		w.died = m.proc.done
	}
	return w
}

func (m *member) sendReset(seed int64) error {
	m.seed = seed
	return m.link.sendProto(kindReset, &envpb.Reset{Seed: uint64(m.seedNow())})
}

func (m *member) seedNow() int64 {
	return (m.seed + int64(m.first) + int64(m.generation)*reseed) & MaxSeed
}

// recvReset waits for the first observations. It replaces a worker that fails.
func (m *member) recvReset(ctx context.Context) error {
	err := m.firstObs(ctx)
	if replaceable(err) {
		err = m.replace(ctx, err)
	}
	return m.explain(err)
}

func (m *member) firstObs(ctx context.Context) error {
	body, err := m.link.recv(ctx, kindObs, m.patience(m.cfg.Timeout))
	if err != nil {
		return err
	}
	bad, err := m.layout.decodeObs(body, m.step.Obs)
	if err != nil {
		return fmt.Errorf("%w: %w", errGarbled, err)
	}
	return m.finite(bad, 0)
}

func (m *member) sendStep(action []float32) error {
	m.action = action
	m.answered, m.lost = false, false
	return m.link.send(appendFloats(m.link.begin(kindStep), action))
}

// recvStep waits for the outcome of a step and stores it in m.step. It replaces a worker
// that fails; the step is then lost and its episodes start anew.
func (m *member) recvStep(ctx context.Context) error {
	body, err := m.link.recv(ctx, kindResult, m.patience(m.cfg.Timeout))
	if err == nil {
		err = m.result(body)
	}
	if replaceable(err) {
		m.lost = true
		err = m.replace(ctx, err)
	}
	m.answered = err == nil
	return m.explain(err)
}

func (m *member) result(body []byte) error {
	bad, err := m.layout.decodeResult(body, &m.step)
	if err != nil {
		return fmt.Errorf("%w: %w", errGarbled, err)
	}
	m.steps++
	m.failures = 0
	return m.finite(bad, m.steps)
}

func (m *member) finite(bad nonFinite, step uint64) error {
	if bad.field == "" {
		return nil
	}
	e := &NonFiniteError{
		Env: m.cfg.Env, Worker: m.name, Copy: m.first + bad.copy, Step: step,
		Field: bad.field, Index: bad.index, Value: bad.value,
	}
	if step > 0 {
		a := m.layout.actDim
		e.Action = append(e.Action, m.action[bad.copy*a:(bad.copy+1)*a]...)
	}
	return e
}

// replaceable reports whether an error means that the worker is dead or unresponsive.
func replaceable(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, errHung) || errors.Is(err, errDied) || errors.Is(err, errGarbled) {
		return true
	}
	var f *failure
	return errors.As(err, &f) && (f.GetCode() == envpb.Failure_NO_SESSION || f.GetCode() == envpb.Failure_BUSY)
}

// replace ends a failed worker and starts another one, up to its first observations,
// until one works or too many have failed.
func (m *member) replace(ctx context.Context, cause error) error {
	for {
		cause = m.shut(cause)
		m.failures++
		m.counters.failures.Add(1)
		if m.failures >= maxFailures {
			m.log.Error("worker failed too often", "worker", m.name, "failures", m.failures, "why", cause)
			return &WorkerError{Worker: m.name, Failures: m.failures, Stderr: m.tail.last(), Err: cause}
		}
		m.generation++
		m.counters.restarts.Add(1)
		m.log.Warn("worker failed, restarting it", "worker", m.name, "failures", m.failures, "why", cause)

		err := m.reopen(ctx)
		if !replaceable(err) {
			return err
		}
		cause = err
	}
}

func (m *member) reopen(ctx context.Context) error {
	if err := m.open(ctx); err != nil {
		return err
	}
	spec, err := m.welcome(ctx)
	if err != nil {
		return err
	}
	if !spec.Equal(m.spec) {
		return fmt.Errorf("%w: after a restart its environment is another one, with %s; before: %s", errRefused, spec, m.spec)
	}
	if err := m.sendReset(m.seed); err != nil {
		return err
	}
	return m.firstObs(ctx)
}

// shut ends a failed worker, and adds to the cause how it ended.
func (m *member) shut(cause error) error {
	if m.link != nil {
		if m.proc == nil {
			m.link.bye() // it may only be slow: end the session
		} else {
			m.link.close()
		}
		m.link = nil
	}
	if errors.Is(cause, errHung) {
		cause = fmt.Errorf("%w within %v (env.timeout)", cause, m.cfg.Timeout)
	}
	if m.proc == nil {
		return cause
	}
	died := errors.Is(cause, errDied)
	m.proc.kill()
	if died {
		cause = fmt.Errorf("%w: %s", cause, m.proc.how())
	} else {
		cause = fmt.Errorf("%w, so it was killed", cause)
	}
	m.proc = nil
	return cause
}

// explain converts errors of the link to those of the package.
func (m *member) explain(err error) error {
	if err == nil {
		return nil // before f is allocated
	}
	var f *failure
	switch {
	case errors.As(err, &f) && f.GetCode() == envpb.Failure_RAISED && f.GetException() != "":
		return &RaisedError{
			Env: m.cfg.Env, Worker: m.name, Copy: m.first + int(f.GetCopy()), Step: f.GetStep(),
			Exception: f.GetException(), Traceback: f.GetTraceback(), Action: f.GetAction(),
			Stderr: m.tail.settled(),
		}
	case errors.As(err, &f):
		return &RefusedError{Worker: m.name, Code: f.GetCode(), Message: f.GetMessage(), Traceback: f.GetTraceback()}
	case errors.Is(err, errRefused):
		return fmt.Errorf("envbridge: worker %s: %w", m.name, err)
	case errors.Is(err, errDied) && m.proc != nil:
		words := m.tail.last()
		how := m.proc.how()
		if missing := venv.Missing(m.python, words); missing != "" {
			how = missing
		}
		return &WorkerError{Worker: m.name, Failures: 1, Stderr: words, Err: fmt.Errorf("%w: %s", err, how)}
	case errors.As(err, new(*WorkerError)): // by replace
		return err
	case errors.Is(err, errHung):
		return &WorkerError{Worker: m.name, Failures: 1, Stderr: m.tail.last(), Err: err}
	}
	return err
}

// leave tells the worker to end; gone waits for it.
func (m *member) leave() {
	if m.link != nil {
		m.link.bye()
		m.link = nil
	}
}

func (m *member) gone() {
	if m.proc != nil {
		patience := farewell
		switch {
		case m.spec.Copies == 0: // it never answered, and may still be loading a simulator
			patience = farewell / 10
		case m.action != nil && !m.answered: // a step in progress, which may hang
			patience = farewell / 3
		}
		m.proc.end(patience)
		m.proc = nil
	}
}
