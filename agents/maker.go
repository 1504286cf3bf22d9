package agents

import (
	"errors"
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/policies"
)

// A Maker holds the settings of one kind of learner and builds it.
type Maker interface {
	// Make builds the learner for a task.
	Make(t Task) (Learner, error)
	// Discount returns how the replay memory sums rewards: γ per environment step, and
	// the number of steps.
	Discount() (gamma float64, steps int)
	// Check reports whether the settings fit a policy; nil: no policy is set.
	Check(policy policies.Policy) error
}

// A Return is what the critics of a Maker estimate: rewards discounted by γ per step.
// Makers embed it.
type Return struct {
	Gamma float64 `yaml:"gamma" want:"> 0, <= 1"` // discount per environment step
	NStep int     `yaml:"n_step" want:">= 1"`     // rewards summed before the critic is asked
}

// Discount is Maker's.
func (r Return) Discount() (gamma float64, steps int) { return r.Gamma, r.NStep }

// A Task describes what a learner is built for.
type Task struct {
	Backend  compute.Backend
	Spec     envbridge.Spec
	Policy   policies.Policy // nil: the learner has its own
	Schedule Schedule
	Seed     uint64 // seed of the initial values and of all random draws
	Use      Use
}

// A Use says what a learner will be used for. The learner may omit what that does not
// need: one that is built to act or to be read has no variables of an optimiser.
type Use int

const (
	ToLearn Use = iota // Update and Act
	ToAct              // Act only
	ToKeep             // the variables, as for ToLearn; nothing is compiled in advance
	ToRead             // the variables, as for ToAct; nothing is compiled in advance
	// ToPlay is for actions of the trained policy, greedy or drawn, from a checkpoint that
	// may have nothing else: a learner may keep only the variables that they need. Nothing
	// is compiled in advance.
	ToPlay
)

// ErrLeftOut reports that a learner built ToPlay was asked for what needs other variables.
var ErrLeftOut = errors.New("left out of the checkpoint")

// Validate reports tasks that no learner can be built for.
func (t Task) Validate() error {
	if t.Spec.ObsDim < 1 || t.Spec.ActDim < 1 || t.Spec.Copies < 1 {
		return fmt.Errorf("environment with %d copies, %d observation and %d action dimensions", t.Spec.Copies, t.Spec.ObsDim, t.Spec.ActDim)
	}
	if t.Use == ToLearn && (t.Schedule.BatchSize < 1 || t.Schedule.FusedUpdates < 1) {
		return fmt.Errorf("batches of %d, %d updates in one call: want at least 1", t.Schedule.BatchSize, t.Schedule.FusedUpdates)
	}
	return nil
}

// Trains reports whether the variables include the optimisers'.
func (u Use) Trains() bool { return u == ToLearn || u == ToKeep }

// Acts reports whether acting is compiled in advance.
func (u Use) Acts() bool { return u == ToLearn || u == ToAct }

// Adopt moves the values of all variables into l from another store, such as a newer
// checkpoint's. The store must not be used afterwards. If a variable is missing or has
// another shape, Adopt changes nothing.
func Adopt(l Learner, from *model.Store) error {
	for v := range l.Store().IterVariables() {
		other := from.GetVariable(v.Path())
		if other == nil {
			return fmt.Errorf("agents: variable %s is missing: the weights are from another model or configuration", v.Path())
		}
		if !other.Shape().Equal(v.Shape()) {
			return fmt.Errorf("agents: variable %s has shape %s, the model's has %s", v.Path(), other.Shape(), v.Shape())
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
