package envbridge

import (
	"fmt"
	"math"
	"strings"

	"github.com/stein-rl/stein/envbridge/envpb"
)

// A RefusedError is a worker's refusal of a request: an unknown environment, an
// unsupported space, another protocol version, no rendering. Retrying does not help.
type RefusedError struct {
	Worker  string // endpoint or number of the worker
	Code    envpb.Failure_Code
	Message string // one line
	// Traceback is the end of the Python traceback, if there is one.
	Traceback string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("envbridge: worker %s: %s", e.Worker, e.Message)
}

// A RaisedError reports an exception in the environment's code.
type RaisedError struct {
	Env, Worker string
	Copy        int       // number among all copies
	Step        uint64    // of its worker, from 1; 0: in the first reset
	Exception   string    // type and text, with the file and line
	Traceback   string    // the end of the traceback
	Action      []float64 // the last one, as the environment received it
	Stderr      []string  // the worker's last lines
}

func (e *RaisedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "envbridge: %s copy %d raised ", e.Env, e.Copy)
	if e.Step == 0 && len(e.Action) == 0 {
		fmt.Fprintf(&b, "before its first step: %s", e.Exception)
	} else {
		fmt.Fprintf(&b, "at step %d: %s (last action %v)", e.Step, e.Exception, e.Action)
	}
	if e.Traceback != "" {
		b.WriteString("\n" + strings.TrimRight(e.Traceback, "\n"))
	}
	return b.String() + lastLines(e.Stderr)
}

// A NonFiniteError reports a NaN or an infinity from the environment.
type NonFiniteError struct {
	Env, Worker string
	Copy        int    // number among all copies
	Step        uint64 // of its worker, from 1; 0: at a Reset
	Field       string // reward, observation, observation after reset
	Index       int    // index into the observation
	Value       float32
	Action      []float32 // the last one, in [-1, 1]; nil at a Reset
}

func (e *NonFiniteError) Error() string {
	field := e.Field
	if field != fieldReward {
		field = fmt.Sprintf("%s[%d]", field, e.Index)
	}
	value := fmt.Sprint(e.Value)
	if math.IsInf(float64(e.Value), 0) {
		value += " or too large for float32"
	}
	return fmt.Sprintf("envbridge: %s copy %d: %s is %s at step %d (last action %v)", e.Env, e.Copy, field, value, e.Step, e.Action)
}

// A WorkerError reports a worker that failed too often in a row or could not be started.
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
