package sac

import (
	"errors"
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/random"
)

// SoftValues estimates the soft values of states as the critics' target does, from the
// learner's present variables.
type SoftValues struct {
	sac     *Learner // with the target's settings
	program *nn.Program
}

// SoftValues compiles the estimate for one of Config.Target and a number of particles,
// whatever those of the learner are. The critics, or their targets, normalise by their
// running statistics.
func (s *Learner) SoftValues(target string, particles int) (*SoftValues, error) {
	like := *s
	like.cfg.Target, like.cfg.Particles, like.cfg.TargetParticles = target, particles, particles
	err := errors.Join(like.cfg.Check(s.policy), s.needs(policyScope), s.needs(s.targeted()))
	if err != nil {
		return nil, fmt.Errorf("sac: soft values: %w", err)
	}
	return &SoftValues{sac: &like, program: s.packed.NewProgram(like.softValueGraph)}, nil
}

// Of returns the estimates for obs [n*S], [n]; random draws depend on seed alone.
func (v *SoftValues) Of(obs []float32, seed uint64) ([]float32, error) {
	width := v.sac.spec.ObsDim
	n, err := agents.Rows(obs, width)
	if err != nil {
		return nil, fmt.Errorf("sac: soft values: %w", err)
	}
	k := random.KeyOf(seed, valueStream, 0)
	out, err := v.program.Call(v.sac.progress, tensors.FromFlatDataAndDimensions(k[:], 3), tensors.FromFlatDataAndDimensions(obs, n, width))
	if err != nil {
		return nil, fmt.Errorf("sac: soft values: %w", err)
	}
	return tensors.MustCopyFlatData[float32](out[0]), nil
}

// Close frees the compiled graphs.
func (v *SoftValues) Close() { v.program.Finalize() }

// targeted is the scope of the critics that the target uses.
func (s *Learner) targeted() string {
	if s.cfg.Tau != nil {
		return targetScope
	}
	return criticScope
}

func (s *Learner) softValueGraph(scope *model.Scope, in []*Node) []*Node {
	q := s.query(scope, policyScope, in[2], random.NewKey(in[1]), in[0])
	draw := s.sample(q, s.cfg.Target == "particles")
	value := s.critics(scope.At("%s", s.targeted())).Value(q.Obs, draw.Action)
	return []*Node{s.softValue(value, draw, q.Alpha, figures{})}
}
