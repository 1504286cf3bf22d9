package envbridge

import (
	"fmt"
	"strings"

	"github.com/stein-rl/stein/envbridge/envpb"
)

// A RefusedError is the far side's answer to a request that it can't meet: an
// unknown environment, a space that doesn't fit, another version, no rendering.
// Trying again doesn't help.
type RefusedError struct {
	Worker  string // which one: its endpoint or number
	Code    envpb.Failure_Code
	Message string // one line
	// Traceback is the end of the Python traceback, where there is one.
	Traceback string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("envbridge: worker %s: %s", e.Worker, e.Message)
}

// A RaisedError says that the environment's own code raised an exception.
type RaisedError struct {
	Env, Worker string
	Copy        int       // of all copies
	Step        uint64    // of its worker, from 1; 0: while resetting for the first time
	Exception   string    // type and text
	Traceback   string    // its end
	Action      []float64 // the last one, as the environment saw it
	Stderr      []string  // the worker's last lines
}

func (e *RaisedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "envbridge: %s copy %d raised at step %d: %s (last action %v)", e.Env, e.Copy, e.Step, e.Exception, e.Action)
	if e.Traceback != "" {
		b.WriteString("\n" + strings.TrimRight(e.Traceback, "\n"))
	}
	return b.String() + lastLines(e.Stderr)
}

// A NonFiniteError says that the environment answered NaN or an infinity.
type NonFiniteError struct {
	Env, Worker string
	Copy        int    // of all copies
	Step        uint64 // of its worker, from 1; 0: at a Reset
	Field       string // reward, observation, observation after reset
	Index       int    // within the observation
	Value       float32
	Action      []float32 // the last one, in [-1, 1]; nil at a Reset
}

func (e *NonFiniteError) Error() string {
	field := e.Field
	if field != fieldReward {
		field = fmt.Sprintf("%s[%d]", field, e.Index)
	}
	return fmt.Sprintf("envbridge: %s copy %d: %s is %v at step %d (last action %v)", e.Env, e.Copy, field, e.Value, e.Step, e.Action)
}

// A WorkerError says that a worker died or hung too often in a row, or couldn't be
// started at all.
type WorkerError struct {
	Worker   string
	Failures int      // in a row, without a step between
	Stderr   []string // its last lines
	Err      error    // the last failure
}

func (e *WorkerError) Error() string {
	times := ""
	if e.Failures > 1 {
		times = fmt.Sprintf(" %d times in a row without a step", e.Failures)
	}
	return fmt.Sprintf("envbridge: worker %s failed%s: %v%s", e.Worker, times, e.Err, lastLines(e.Stderr))
}

func (e *WorkerError) Unwrap() error { return e.Err }

func lastLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "\nits last lines:\n  " + strings.Join(lines, "\n  ")
}
