package envbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stein-rl/stein/random"
)

// A Simulator is one copy of an environment written in Go. One goroutine uses it at a
// time.
type Simulator interface {
	// Sizes are the sizes of an observation and an action.
	Sizes() (obsDim, actDim int)
	// Reset begins an episode and writes the first observation. The seed determines all
	// randomness in the episode.
	Reset(seed uint64, obs []float32) error
	// Step applies an action, whose numbers are in [−1, 1], and writes the next
	// observation. terminated means that the episode ended and the value beyond is zero.
	// Time limits are not the simulator's job.
	Step(action, obs []float32) (reward float32, terminated bool, err error)
}

// A Limited simulator has its own time limit of episodes, in steps.
type Limited interface{ MaxSteps() int }

// InProcess is an Env of simulators in this process, created by make. maxSteps limits an
// episode; 0: the simulator's own limit, if it has one. The goroutine that calls Send
// runs the steps.
//
// The seed of each further episode derives from the seed of the Reset, the copy and the
// number of the episode.
func InProcess(id string, make func() (Simulator, error), copies, maxSteps int) (Env, error) {
	if copies < 1 || maxSteps < 0 {
		return nil, fmt.Errorf("envbridge: %s: %d copies, time limit %d: want at least 1 and 0", id, copies, maxSteps)
	}
	e := &inProcess{spec: Spec{ID: id, Copies: copies, MaxSteps: maxSteps}}
	for i := range copies {
		s, err := make()
		if err != nil {
			return nil, fmt.Errorf("envbridge: %s: %w", id, err)
		}
		obsDim, actDim := s.Sizes()
		if obsDim < 1 || actDim < 1 {
			return nil, fmt.Errorf("envbridge: %s: observations of %d and actions of %d numbers", id, obsDim, actDim)
		}
		if i > 0 && (obsDim != e.spec.ObsDim || actDim != e.spec.ActDim) {
			return nil, fmt.Errorf("envbridge: %s: copy %d has different sizes than copy 0", id, i)
		}
		e.spec.ObsDim, e.spec.ActDim = obsDim, actDim
		e.spec.ObsShape, e.spec.ActShape = []int{obsDim}, []int{actDim}
		e.spec.Bounds = &Bounds{slices.Repeat([]float64{-1}, actDim), slices.Repeat([]float64{1}, actDim)}
		if l, ok := s.(Limited); ok && maxSteps == 0 {
			e.spec.MaxSteps = l.MaxSteps()
		}
		e.copies = append(e.copies, simulated{Simulator: s})
	}
	e.allocate()
	return e, nil
}

// A simulated copy and its episode.
type simulated struct {
	Simulator
	seed    uint64
	episode uint64
	steps   int
}

type inProcess struct {
	spec   Spec
	copies []simulated
	step   Step
	begun  bool  // Reset was called
	sent   bool  // a step awaits its Recv
	err    error // of that step
}

func (e *inProcess) allocate() {
	n := e.spec.Copies
	e.step = Step{
		Next: make([]float32, n*e.spec.ObsDim), Obs: make([]float32, n*e.spec.ObsDim), Reward: make([]float32, n),
		Terminated: make([]bool, n), Truncated: make([]bool, n),
	}
}

// Spec describes the environment.
func (e *inProcess) Spec() Spec { return e.spec }

// Reset begins an episode in every copy.
func (e *inProcess) Reset(ctx context.Context, seed int64) ([]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("envbridge: %s: %w", e.spec.ID, err)
	}
	if e.sent {
		return nil, fmt.Errorf("envbridge: %s: Reset during a step: call Recv first", e.spec.ID)
	}
	for i := range e.copies {
		c := &e.copies[i]
		c.seed, c.episode = uint64(seed)+uint64(i), 0
		if err := e.start(i); err != nil {
			return nil, err
		}
	}
	e.begun = true
	return e.step.Obs, nil
}

// start begins the next episode of copy i.
func (e *inProcess) start(i int) error {
	c := &e.copies[i]
	if err := c.Reset(random.Mix(c.seed, c.episode), e.row(e.step.Obs, i)); err != nil {
		return fmt.Errorf("envbridge: %s, copy %d: reset: %w", e.spec.ID, i, err)
	}
	c.episode++
	c.steps = 0
	return nil
}

func (e *inProcess) row(x []float32, i int) []float32 {
	return x[i*e.spec.ObsDim : (i+1)*e.spec.ObsDim]
}

// Send runs a step.
func (e *inProcess) Send(ctx context.Context, action []float32) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("envbridge: %s: %w", e.spec.ID, ctx.Err())
	case !e.begun || e.sent:
		return fmt.Errorf("envbridge: %s: Send before Reset, or during a step: call Reset or Recv first", e.spec.ID)
	case len(action) != e.spec.Copies*e.spec.ActDim:
		return fmt.Errorf("envbridge: %s: got %d numbers for %d actions of size %d", e.spec.ID, len(action), e.spec.Copies, e.spec.ActDim)
	}
	e.sent, e.err = true, nil
	for i := range e.copies {
		if err := e.advance(i, action[i*e.spec.ActDim:(i+1)*e.spec.ActDim]); err != nil {
			e.err = errors.Join(e.err, err)
		}
	}
	return nil
}

// advance steps copy i, and begins its next episode if this one ended.
func (e *inProcess) advance(i int, action []float32) error {
	c, next := &e.copies[i], e.row(e.step.Next, i)
	within := make([]float32, len(action))
	for j, a := range action {
		within[j] = min(1, max(-1, a))
	}
	reward, terminated, err := c.Step(within, next)
	if err != nil {
		return fmt.Errorf("envbridge: %s, copy %d: step %d: %w", e.spec.ID, i, c.steps+1, err)
	}
	c.steps++
	truncated := !terminated && e.spec.MaxSteps > 0 && c.steps >= e.spec.MaxSteps
	e.step.Reward[i], e.step.Terminated[i], e.step.Truncated[i] = reward, terminated, truncated
	if terminated || truncated {
		return e.start(i)
	}
	copy(e.row(e.step.Obs, i), next)
	return nil
}

// Recv returns the result of the last Send.
func (e *inProcess) Recv(ctx context.Context) (Step, error) {
	if !e.sent {
		return Step{}, fmt.Errorf("envbridge: %s: Recv without a Send", e.spec.ID)
	}
	e.sent = false
	if err := errors.Join(e.err, ctx.Err()); err != nil {
		return Step{}, err
	}
	return e.step, nil
}

// Close does nothing.
func (e *inProcess) Close() error { return nil }
