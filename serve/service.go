package serve

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stein-rl/stein/serve/servepb"
)

// Act answers one request.
func (s *Server) Act(ctx context.Context, r *servepb.ActRequest) (*servepb.ActResponse, error) {
	started := time.Now()
	p := s.find(r.Policy)
	if p == nil {
		return nil, s.unknown(r.Policy)
	}
	answer, err := p.ask(ctx, r.Observations, r.Deterministic, r.Seed)
	took := time.Since(started)
	if err != nil {
		s.metrics.failed(p.name, status.Code(err).String())
		p.gauges.latency.Observe(took.Seconds())
		return nil, err
	}
	p.gauges.answered.Inc()
	p.gauges.latency.Observe(took.Seconds())
	return &servepb.ActResponse{
		Actions: answer.Action, LogProbs: answer.LogProb, Entropies: answer.Entropy, QValues: answer.Value,
		Step: answer.step, Id: r.Id,
	}, nil
}

// Stream answers requests one after the other. A client that does not read its answers
// delays only itself: its next request is read only after the answer was sent.
func (s *Server) Stream(stream servepb.Policies_StreamServer) error {
	turn, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- s.converse(stream, turn) }()
	select {
	case err := <-ended:
		return err
	case <-s.stopping:
	}
	select {
	case err := <-ended:
		return err
	case turn <- struct{}{}: // after the current answer, if there is one
		return status.Error(codes.Unavailable, "the server is stopping")
	}
}

// converse is the loop of Stream. It holds turn while it answers, and ends when Stream
// has taken turn.
func (s *Server) converse(stream servepb.Policies_StreamServer, turn chan struct{}) error {
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case turn <- struct{}{}:
		default:
			return nil
		}
		answer, err := s.Act(stream.Context(), r)
		if err == nil {
			err = stream.Send(answer)
		}
		<-turn
		if err != nil {
			return err
		}
	}
}

// Spec lists the policies.
func (s *Server) Spec(_ context.Context, r *servepb.SpecRequest) (*servepb.SpecResponse, error) {
	policies := s.policies
	if r.Policy != "" {
		p := s.find(r.Policy)
		if p == nil {
			return nil, s.unknown(r.Policy)
		}
		policies = []*policy{p}
	}
	answer := &servepb.SpecResponse{}
	for _, p := range policies {
		particles := 1
		if many, ok := p.actor.Agent.(interface{ Particles() int }); ok {
			particles = many.Particles()
		}
		spec := &servepb.PolicySpec{
			Name: p.name, Env: p.actor.Spec.ID, ObsDim: uint32(p.actor.Spec.ObsDim), ActDim: uint32(p.actor.Spec.ActDim),
			Algorithm: p.actor.Config.Agent.Name, Kind: p.actor.Config.Policy.Name, Particles: uint32(particles),
			Step: p.step.Load(), Run: p.actor.Info.ID, Batch: uint32(p.oracle.Batch()),
			ObsShape: unsigned(p.actor.Spec.ObsShape), ActShape: unsigned(p.actor.Spec.ActShape),
		}
		if b := p.actor.Spec.Bounds; b != nil {
			spec.ActLow, spec.ActHigh = b.Low, b.High
		}
		answer.Policies = append(answer.Policies, spec)
	}
	return answer, nil
}

func unsigned(shape []int) (all []uint32) {
	for _, n := range shape {
		all = append(all, uint32(n))
	}
	return all
}

func (s *Server) unknown(name string) error {
	var names []string
	for _, p := range s.policies {
		names = append(names, p.name)
	}
	if names == nil {
		return status.Error(codes.NotFound, "this server has no policies")
	}
	return status.Errorf(codes.NotFound, "unknown policy %.80q; this server has %s", name, strings.Join(names, ", "))
}
