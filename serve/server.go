package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/stein-rl/stein/agents"

	"github.com/gomlx/compute"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/serve/servepb"
)

// A Config holds the settings of a Server.
type Config struct {
	Catalog  experiments.Catalog
	Backend  compute.Backend
	Policies []Source // runs of agents and of image models; a request without a name gets the first
	Limits   Limits
	Security Security
	// Reload is how often run folders are checked for a newer checkpoint; 0: never.
	Reload time.Duration
	Log    *slog.Logger
}

// A Source is a run and the name it is served under.
type Source struct {
	Name, Dir  string
	Checkpoint string // last, best, or a step; empty: last
}

// Limits bound batches and queues. Zeros mean the defaults.
type Limits struct {
	Batch int           // most rows in a batch; 0: 64
	Wait  time.Duration // longest wait for the clients of the last batch; negative: none; 0: 500 µs
	Queue int           // most waiting rows per policy, and most rows per request; 0: 4096
}

func (l Limits) check() (Limits, error) {
	l.Batch, l.Wait, l.Queue = cmp.Or(l.Batch, 64), cmp.Or(l.Wait, 500*time.Microsecond), cmp.Or(l.Queue, 4096)
	if l.Batch < 1 || l.Batch > 4096 || l.Queue < 1 || l.Queue > 1<<20 {
		return l, fmt.Errorf("serve: batch size %d and queue size %d: want 1 to 4096 and 1 to %d", l.Batch, l.Queue, 1<<20)
	}
	return l, nil
}

// sizes returns the batch sizes that batches are padded to. Each is a graph to compile.
func (l Limits) sizes() []int {
	var all []int
	for n := 1; n < l.Batch; n *= 8 {
		all = append(all, n)
	}
	return append(all, l.Batch)
}

// windowBytes is the flow-control window of a stream and of a connection: gRPC's default.
const windowBytes = 1 << 16

// A Server serves policies and image models.
type Server struct {
	servepb.UnimplementedPoliciesServer
	config   Config
	policies []*policy
	energies []*energy
	metrics  *metrics
	grpc     *grpc.Server
	health   *health.Server
	stopping chan struct{} // closed when no more requests are accepted
}

// New opens the runs and compiles their graphs, which takes seconds for each run.
func New(c Config) (*Server, error) {
	var err error
	if c.Limits, err = c.Limits.check(); err != nil {
		return nil, err
	}
	if len(c.Policies) == 0 {
		return nil, errors.New("serve: no policies")
	}
	options, err := c.Security.options()
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, metrics: newMetrics(), health: health.NewServer(), stopping: make(chan struct{})}
	for _, source := range c.Policies {
		if s.has(source.Name) {
			s.Close()
			return nil, fmt.Errorf("serve: %s: two runs have this name", source.Name)
		}
		if experiments.IsImageRun(source.Dir) {
			e, err := s.openEnergy(source)
			if err != nil {
				s.Close()
				return nil, fmt.Errorf("serve: image model %s: %w", source.Name, err)
			}
			s.energies = append(s.energies, e)
			s.metrics.watch(e.name, &e.queued, &e.update)
			continue
		}
		p, err := s.open(source)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("serve: policy %s: %w", source.Name, err)
		}
		s.policies = append(s.policies, p)
		s.metrics.watch(p.name, &p.queued, &p.step)
	}
	s.grpc = grpc.NewServer(append(options,
		// Notice clients that vanished, and disconnect those that send too many pings.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.MaxConcurrentStreams(1024),
		// Messages are small, and adaptive windows cost a ping and its answer for almost each.
		grpc.StaticStreamWindowSize(windowBytes), grpc.StaticConnWindowSize(windowBytes),
	)...)
	servepb.RegisterPoliciesServer(s.grpc, s)
	servepb.RegisterEnergiesServer(s.grpc, energyService{Server: s})
	healthpb.RegisterHealthServer(s.grpc, s.health)
	for _, service := range []string{servepb.Policies_ServiceDesc.ServiceName, servepb.Energies_ServiceDesc.ServiceName} {
		s.health.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	}
	reflection.Register(s.grpc)
	return s, nil
}

func (s *Server) open(source Source) (*policy, error) {
	started := time.Now()
	actor, err := s.config.Catalog.OpenActor(s.config.Backend, source.Dir, source.Checkpoint, s.config.Log)
	if err != nil {
		return nil, err
	}
	p := &policy{
		name: source.Name, actor: actor, limits: s.config.Limits, gauges: s.metrics.of(source.Name), seed: rand.Uint64(),
		log:  s.config.Log.With("policy", source.Name, "run", actor.Info.ID),
		jobs: make(chan *job, s.config.Limits.Queue), swaps: make(chan swap),
	}
	p.at(actor.At)
	answerer, ok := actor.Agent.(agents.Answerer)
	if !ok {
		p.close()
		return nil, fmt.Errorf("agent kind %s does not support serving", actor.Config.Agent.Name)
	}
	if p.oracle, err = answerer.Oracle(s.config.Limits.sizes()); err == nil {
		p.drawn, err = p.oracle.Draws()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	p.log.Info("policy ready", "env", actor.Spec.ID, "agent", actor.Config.Agent.Name, "kind", actor.Config.Policy.Name, "step", actor.At.Step,
		"batches", s.config.Limits.sizes(), "seconds", time.Since(started).Round(100*time.Millisecond).Seconds())
	return p, nil
}

func (p *policy) close() {
	if p.oracle != nil {
		p.oracle.Close()
	}
	p.actor.Close()
}

// has reports whether a run with this name is served.
func (s *Server) has(name string) bool {
	return slices.ContainsFunc(s.policies, func(p *policy) bool { return p.name == name }) ||
		slices.ContainsFunc(s.energies, func(e *energy) bool { return e.name == name })
}

// find returns the policy with this name, or nil; "" means the first.
func (s *Server) find(name string) *policy {
	for _, p := range s.policies {
		if p.name == name || name == "" {
			return p
		}
	}
	return nil
}

// grace is how long clients may take to read their answers when the server stops.
const grace = 5 * time.Second

// Serve serves a listener until ctx ends; then it accepts no more requests and answers
// those already accepted. It rejects plaintext on an address that other machines can
// reach, unless Security.Insecure is set. Call it once.
func (s *Server) Serve(ctx context.Context, at net.Listener) error {
	if err := s.config.Security.Allow(at.Addr()); err != nil {
		return errors.Join(err, at.Close())
	}
	stop := make(chan struct{})
	var workers, watchers sync.WaitGroup
	watch, unwatch := context.WithCancel(ctx)
	for _, p := range s.policies {
		workers.Go(func() { p.work(stop) })
		if s.config.Reload > 0 {
			watchers.Go(func() { reload(watch, s.config.Reload, p.log, func() error { return p.refresh(watch) }) })
		}
	}
	for _, e := range s.energies {
		if s.config.Reload > 0 {
			watchers.Go(func() { reload(watch, s.config.Reload, e.log, e.refresh) })
		}
	}
	ended := make(chan struct{})
	var stopping sync.WaitGroup
	stopping.Go(func() {
		select {
		case <-ctx.Done():
		case <-ended:
		}
		s.health.Shutdown()
		close(s.stopping)
		cut := time.AfterFunc(grace, s.grpc.Stop)
		defer cut.Stop()
		s.grpc.GracefulStop()
	})
	err := s.grpc.Serve(at)
	close(ended)
	stopping.Wait()
	unwatch()
	watchers.Wait()
	close(stop)
	workers.Wait()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Metrics returns the handler that serves Prometheus metrics.
func (s *Server) Metrics() http.Handler { return s.metrics.handler() }

// Close frees what New opened. Serve must have returned.
func (s *Server) Close() {
	for _, p := range s.policies {
		p.close()
	}
	for _, e := range s.energies {
		e.model.Close()
	}
}

// reload calls refresh at each interval until ctx ends. If refresh fails, it logs the
// error, and the checkpoint in use stays.
func reload(ctx context.Context, every time.Duration, log *slog.Logger, refresh func() error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := refresh(); err != nil && ctx.Err() == nil {
			log.Warn("cannot use a newer checkpoint", "error", err.Error())
		}
	}
}
