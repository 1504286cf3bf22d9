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

// A Config says what is served, and how.
type Config struct {
	Catalog  experiments.Catalog
	Backend  compute.Backend
	Policies []Source // runs of agents and of image models; the first of each answers requests without a name
	Limits   Limits
	Security Security
	// Reload is how often run folders are looked at for a newer checkpoint; 0: never.
	Reload time.Duration
	Log    *slog.Logger
}

// A Source is a run under a name.
type Source struct {
	Name, Dir  string
	Checkpoint string // last, best, or a step; empty: last
}

// Limits bound what is worked out together and what waits. Zeros mean the defaults.
type Limits struct {
	Batch int           // rows worked out in one call, at most; 0: 64
	Wait  time.Duration // for clients that were in the last batch, at most; negative: none; 0: 500 µs
	Queue int           // rows that wait for a policy, and of a request, at most; 0: 4096
}

func (l Limits) check() (Limits, error) {
	l.Batch, l.Wait, l.Queue = cmp.Or(l.Batch, 64), cmp.Or(l.Wait, 500*time.Microsecond), cmp.Or(l.Queue, 4096)
	if l.Batch < 1 || l.Batch > 4096 || l.Queue < 1 || l.Queue > 1<<20 {
		return l, fmt.Errorf("serve: batch size %d and queue size %d: want 1 to 4096 and 1 to %d", l.Batch, l.Queue, 1<<20)
	}
	return l, nil
}

// sizes are those that batches are filled up to: each is a graph to compile.
func (l Limits) sizes() []int {
	var all []int
	for n := 1; n < l.Batch; n *= 8 {
		all = append(all, n)
	}
	return append(all, l.Batch)
}

// windowBytes of a stream or a connection may be on their way: what gRPC begins with.
const windowBytes = 1 << 16

// A Server answers for policies and for energies of images.
type Server struct {
	servepb.UnimplementedPoliciesServer
	config   Config
	policies []*policy
	energies []*energy
	metrics  *metrics
	grpc     *grpc.Server
	health   *health.Server
	stopping chan struct{} // closed when no more is taken
}

// New opens the policies and compiles their graphs, which takes seconds each.
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
		// A client that is gone without a word is noticed; one that floods with pings is not kept.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.MaxConcurrentStreams(1024),
		// Messages are small. Windows that adapt cost a ping and its answer for almost each.
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
		return nil, fmt.Errorf("an agent of kind %s can't be served: it answers nothing but its own loop", actor.Config.Agent.Name)
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

// has says whether a run of this name is served.
func (s *Server) has(name string) bool {
	return slices.ContainsFunc(s.policies, func(p *policy) bool { return p.name == name }) ||
		slices.ContainsFunc(s.energies, func(e *energy) bool { return e.name == name })
}

// find is the policy of a name, or nil.
func (s *Server) find(name string) *policy {
	for _, p := range s.policies {
		if p.name == name || name == "" {
			return p
		}
	}
	return nil
}

// grace is how long a client has to take its answers when the server stops.
const grace = 5 * time.Second

// Serve answers at a listener until ctx ends; then it takes no more requests and
// answers those that it has. A listener that is not loopback must be secured. It is
// called once.
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

// Metrics answers Prometheus.
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

// reload looks for a newer checkpoint every so often until ctx ends. If refresh fails,
// it logs why, and the checkpoint in use stays.
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
			log.Warn("a newer checkpoint is not used", "error", err.Error())
		}
	}
}
