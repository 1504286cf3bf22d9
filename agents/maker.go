package agents

import (
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/policies"
)

// A Maker is the settings of one kind of learner, and builds it.
type Maker interface {
	// Make builds the learner for a task.
	Make(t Task) (Learner, error)
	// Discount is what the replay memory sums rewards by: γ per environment step, and
	// the number of steps that are summed.
	Discount() (gamma float64, steps int)
	// Check says what is wrong with the settings beside a policy; nil: there is none.
	Check(policy policies.Policy) error
}

// A Task is what a learner is built for.
type Task struct {
	Backend  compute.Backend
	Spec     envbridge.Spec
	Policy   policies.Policy // nil: the learner brings its own
	Schedule Schedule
	Seed     uint64 // of first values, and of all that the learner draws
	Use      Use
}

// A Use is what a learner is built for. The learner may leave out what that does not
// need: one that is built to act or to be read has no variables of an optimiser.
type Use int

const (
	ToLearn Use = iota // Update and Act
	ToAct              // Act alone
	ToKeep             // the variables, as for ToLearn; nothing is compiled in advance
	ToRead             // the variables, as for ToAct; nothing is compiled in advance
)

// Validate says what no learner can be built for.
func (t Task) Validate() error {
	if t.Spec.ObsDim < 1 || t.Spec.ActDim < 1 || t.Spec.Copies < 1 {
		return fmt.Errorf("environment of %d copies, %d observation and %d action dimensions", t.Spec.Copies, t.Spec.ObsDim, t.Spec.ActDim)
	}
	if t.Use == ToLearn && (t.Schedule.BatchSize < 1 || t.Schedule.FusedUpdates < 1) {
		return fmt.Errorf("batches of %d, %d updates in one call: want 1 or more", t.Schedule.BatchSize, t.Schedule.FusedUpdates)
	}
	return nil
}

// Trains says whether the variables include the optimisers'.
func (u Use) Trains() bool { return u == ToLearn || u == ToKeep }

// Acts says whether acting is compiled in advance.
func (u Use) Acts() bool { return u == ToLearn || u == ToAct }

// Adopt takes the values of all variables of a learner from another store, such as a
// newer checkpoint's, which must not be used afterwards. Nothing changes where one is
// missing or has another shape.
func Adopt(l Learner, from *model.Store) error {
	for v := range l.Store().IterVariables() {
		other := from.GetVariable(v.Path())
		if other == nil {
			return fmt.Errorf("agents: no variable %s: it was written by another model or configuration", v.Path())
		}
		if !other.Shape().Equal(v.Shape()) {
			return fmt.Errorf("agents: variable %s is %s, that of the model %s", v.Path(), other.Shape(), v.Shape())
		}
	}
	for v := range l.Store().IterVariables() {
		value, err := from.GetVariable(v.Path()).Value()
		if err == nil {
			err = v.SetValue(value)
		}
		if err != nil {
			return fmt.Errorf("agents: variable %s: %w", v.Path(), err)
		}
	}
	return nil
}
