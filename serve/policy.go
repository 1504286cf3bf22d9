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

// A policy answers for one run. One goroutine, work, uses the agent; what arrives
// while it computes is the next batch.
type policy struct {
	name   string
	actor  *experiments.Actor
	oracle agents.Oracle
	drawn  bool // greedy actions are drawn too: they depend on seed and place
	limits Limits
	log    *slog.Logger
	gauges gauges

	jobs   chan *job
	swaps  chan swap
	queued atomic.Int64 // rows that wait
	step   atomic.Int64 // of the checkpoint that answers
	path   atomic.Pointer[string]
	seed   uint64 // of what is drawn for requests without a seed
	calls  uint64
}

// A job is one request on its way.
type job struct {
	ctx    context.Context
	obs    []float32
	rows   int
	greedy bool
	seed   *uint64 // nil: shares a batch
	done   chan reply
}

type reply struct {
	agents.Answer
	step int64
	err  error
}

// A swap is a newer checkpoint that waits for the end of a batch.
type swap struct {
	moment experiments.Moment
	done   chan error
}

// ask puts a request into the queue and waits for its answer, or for the end of ctx.
func (p *policy) ask(ctx context.Context, obs []float32, greedy bool, seed *uint64) (reply, error) {
	width := p.actor.Spec.ObsDim
	rows := len(obs) / width
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
		j.seed = nil // it changes nothing
	} else if greedy && seed == nil {
		j.seed = new(uint64) // the same question has the same answer
	}
	p.jobs <- j // has room: every job is a row or more
	select {
	case r := <-j.done:
		return r, r.err
	case <-ctx.Done():
		return reply{}, status.FromContextError(ctx.Err()).Err()
	}
}

// work answers until stop is closed, then what still waits.
func (p *policy) work(stop <-chan struct{}) {
	expected := 1 // as many requests as the last batch had
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

// gather takes what else waits, up to a full batch. Clients that are answered
// together come back together: where fewer are there than the last time, it gives
// the others a moment. A client that is alone never waits.
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

// answer works out a batch: together what is drawn, together what is greedy, and
// alone what has a seed. Requests that nobody waits for any more are left out.
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

// run answers jobs in one go.
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
		r.Action, r.Value = all.Action[at*width:to*width], all.Value[at:to]
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

// finite refuses actions that no simulator and no motor should get.
func (p *policy) finite(action []float32) error {
	for i, a := range action {
		if math.IsNaN(float64(a)) || math.IsInf(float64(a), 0) {
			width := p.actor.Spec.ActDim
			return status.Errorf(codes.InvalidArgument, "policy %s: the action for observation %d is %v: the observation is outside the range that the networks can process", p.name, i/width, action[i-i%width:i-i%width+width])
		}
	}
	return nil
}

// adopt puts a newer checkpoint's weights in place, between two batches.
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
