package serve

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/stein-rl/stein/agents"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stein-rl/stein/experiments"
)

// A policy serves one run. Only the goroutine work uses the agent; requests that arrive
// while it computes form the next batch.
type policy struct {
	name   string
	actor  *experiments.Actor
	oracle agents.Oracle
	drawn  bool // greedy actions are random too: they depend on the seed and the row
	limits Limits
	log    *slog.Logger
	gauges gauges

	jobs   chan *job
	swaps  chan swap
	queued atomic.Int64 // waiting rows
	step   atomic.Int64 // step of the checkpoint in use
	path   atomic.Pointer[string]
	seed   uint64 // for requests without a seed
	calls  uint64
}

// A job is one queued request.
type job struct {
	ctx    context.Context
	obs    []float32
	rows   int
	greedy bool
	seed   *uint64 // nil: may share a batch
	done   chan reply
}

type reply struct {
	agents.Answer
	step int64
	err  error
}

// A swap is a newer checkpoint to load after the current batch.
type swap struct {
	moment experiments.Moment
	done   chan error
}

// ask queues a request and waits for its answer or for the end of ctx.
func (p *policy) ask(ctx context.Context, obs []float32, greedy bool, seed *uint64) (reply, error) {
	width := p.actor.Spec.ObsDim
	rows := len(obs) / width
	if len(obs) == 0 {
		return reply{}, status.Errorf(codes.InvalidArgument, "policy %s: got no observation", p.name)
	}
	if rows == 0 || rows*width != len(obs) {
		return reply{}, status.Errorf(codes.InvalidArgument, "policy %s: got %d numbers, not a multiple of the observation size %d", p.name, len(obs), width)
	}
	for i, x := range obs {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return reply{}, status.Errorf(codes.InvalidArgument, "policy %s: number %d of observation %d is %v", p.name, i%width, i/width, x)
		}
	}
	if rows > p.limits.Queue {
		return reply{}, status.Errorf(codes.InvalidArgument, "policy %s: got %d observations in one request, the limit is %d", p.name, rows, p.limits.Queue)
	}
	if waiting := p.queued.Add(int64(rows)); waiting > int64(p.limits.Queue) {
		p.queued.Add(-int64(rows))
		return reply{}, status.Errorf(codes.ResourceExhausted, "policy %s: %d observations are waiting, the limit is %d: try again later", p.name, waiting-int64(rows), p.limits.Queue)
	}
	j := &job{ctx: ctx, obs: obs, rows: rows, greedy: greedy, seed: seed, done: make(chan reply, 1)}
	if greedy && !p.drawn {
		j.seed = nil // the action does not depend on it
	} else if greedy && seed == nil {
		j.seed = new(uint64) // equal requests get equal answers
	}
	p.jobs <- j // does not block: every job has at least one row
	select {
	case r := <-j.done:
		return r, r.err
	case <-ctx.Done():
		return reply{}, status.FromContextError(ctx.Err()).Err()
	}
}

// work answers requests until stop is closed, then those still in the queue.
func (p *policy) work(stop <-chan struct{}) {
	expected := 1 // number of requests in the last batch
	for {
		select {
		case s := <-p.swaps:
			s.done <- p.adopt(s.moment)
		case j := <-p.jobs:
			batch := p.gather(j, expected)
			expected = len(batch)
			p.answer(batch)
		case <-stop:
			for {
				select {
				case j := <-p.jobs:
					p.answer(p.gather(j, 1))
				default:
					return
				}
			}
		}
	}
}

// gather adds waiting requests to first, up to a full batch. Clients that were answered
// together tend to send their next requests together: if there are fewer than expected,
// gather waits for the others, at most limits.Wait. A single client never waits.
func (p *policy) gather(first *job, expected int) []*job {
	batch, rows := []*job{first}, first.rows
	var late <-chan time.Time
	for rows < p.oracle.Batch() {
		select {
		case j := <-p.jobs:
			batch, rows = append(batch, j), rows+j.rows
			continue
		default:
		}
		if len(batch) >= expected || p.limits.Wait <= 0 {
			break
		}
		if late == nil {
			late = time.After(p.limits.Wait)
		}
		select {
		case j := <-p.jobs:
			batch, rows = append(batch, j), rows+j.rows
		case <-late:
			expected = 0
		}
	}
	p.queued.Add(-int64(rows))
	return batch
}

// answer computes a batch: all random actions together, all greedy actions together, and
// each request with a seed alone. It skips requests whose client has left.
func (p *policy) answer(batch []*job) {
	var drawn, greedy []*job
	for _, j := range batch {
		switch {
		case j.ctx.Err() != nil:
			p.gauges.expired.Inc()
		case j.seed != nil:
			p.run([]*job{j}, j.greedy, *j.seed, 0)
		case j.greedy:
			greedy = append(greedy, j)
		default:
			drawn = append(drawn, j)
		}
	}
	for _, group := range [][]*job{drawn, greedy} {
		if len(group) > 0 {
			p.calls++
			p.run(group, group[0].greedy, p.seed, p.calls)
		}
	}
}

// run answers jobs with one call of the oracle.
func (p *policy) run(jobs []*job, greedy bool, seed, call uint64) {
	started := time.Now()
	obs := jobs[0].obs
	if len(jobs) > 1 || p.actor.Norm != nil {
		obs = nil
		for _, j := range jobs {
			obs = append(obs, j.obs...)
		}
	}
	if p.actor.Norm != nil {
		p.actor.Norm.Obs(obs)
	}
	all, err := p.oracle.Ask(obs, greedy, seed, call)
	if err != nil {
		p.log.Error("a batch failed", "requests", len(jobs), "error", err.Error())
	}
	width, at := p.actor.Spec.ActDim, 0
	for _, j := range jobs {
		r := reply{step: p.actor.At.Step}
		if err != nil {
			r.err = status.Errorf(codes.Internal, "policy %s: %v", p.name, err)
			j.done <- r
			continue
		}
		to := at + j.rows
		r.Action = all.Action[at*width : to*width]
		if all.Value != nil {
			r.Value = all.Value[at:to]
		}
		if all.Entropy != nil {
			r.Entropy = all.Entropy[at:to]
		}
		if all.LogProb != nil {
			r.LogProb = all.LogProb[at:to]
		}
		at = to
		r.err = p.finite(r.Action)
		j.done <- r
	}
	p.gauges.batch(len(obs)/p.actor.Spec.ObsDim, time.Since(started))
}

// finite rejects actions with NaN or infinity, which no simulator or motor should get.
func (p *policy) finite(action []float32) error {
	for i, a := range action {
		if math.IsNaN(float64(a)) || math.IsInf(float64(a), 0) {
			width := p.actor.Spec.ActDim
			return status.Errorf(codes.InvalidArgument, "policy %s: the action for observation %d is %v: the observation is outside the range that the networks can process", p.name, i/width, action[i-i%width:i-i%width+width])
		}
	}
	return nil
}

// adopt loads a newer checkpoint's weights, between two batches.
func (p *policy) adopt(m experiments.Moment) error {
	if err := p.actor.Adopt(m); err != nil {
		return err
	}
	p.at(m)
	return nil
}

func (p *policy) at(m experiments.Moment) {
	p.step.Store(m.Step)
	p.path.Store(&m.Path)
}

func (p *policy) refresh(ctx context.Context) error {
	m, found, err := p.actor.Newer(*p.path.Load())
	if err != nil || !found {
		return err
	}
	s := swap{m, make(chan error, 1)}
	select {
	case p.swaps <- s:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := <-s.done; err != nil {
		return fmt.Errorf("%s: %w", m.Path, err)
	}
	p.gauges.reloads.Inc()
	p.log.Info("reloaded", "step", m.Step, "checkpoint", m.Path)
	return nil
}
