package sb3

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stein-rl/stein/interop/torchfile"
)

// A layer is a torch.nn.Linear: weights [outputs, inputs].
type layer struct {
	weights, biases torchfile.Tensor
}

func (l layer) inputs() int  { return l.weights.Shape[1] }
func (l layer) outputs() int { return l.weights.Shape[0] }

// A state is a state_dict, from which layers are removed as they are read.
type state map[string]torchfile.Tensor

// layer removes and returns the named layer, if it exists.
func (s state) layer(name string) (l layer, found bool, err error) {
	l.weights, found = s[name+".weight"]
	if !found {
		return l, false, nil
	}
	var biased bool
	if l.biases, biased = s[name+".bias"]; !biased || len(l.weights.Shape) != 2 || l.outputs() == 0 || l.inputs() == 0 ||
		!slices.Equal(l.biases.Shape, []int{l.outputs()}) {
		return l, true, fmt.Errorf("layer %s has weights of shape %v and biases of shape %v", name, l.weights.Shape, l.biases.Shape)
	}
	delete(s, name+".weight")
	delete(s, name+".bias")
	return l, true, nil
}

// layers removes and returns the layers of a Sequential, name.0, name.2 and so on, with
// activations in between.
func (s state) layers(name string) (all []layer, err error) {
	for {
		l, found, err := s.layer(fmt.Sprintf("%s.%d", name, 2*len(all)))
		if err != nil || !found {
			return all, err
		}
		if n := len(all); n > 0 && all[n-1].outputs() != l.inputs() {
			return nil, fmt.Errorf("layer %s.%d has %d inputs, the layer before it %d outputs", name, 2*n, l.inputs(), all[n-1].outputs())
		}
		all = append(all, l)
	}
}

// take stores the weights of MlpPolicy under Stein's names.
func (m *Model) take(weights map[string]torchfile.Tensor) error {
	s := state(maps.Clone(weights))
	m.Weights = map[string]torchfile.Tensor{}
	if err := m.takeActor(s); err != nil {
		return err
	}
	for _, c := range []struct{ theirs, ours string }{{"critic", "/critic"}, {"critic_target", "/target"}} {
		for k := range 2 {
			if err := m.takeCritic(s, fmt.Sprintf("%s.qf%d", c.theirs, k), fmt.Sprintf("%s/q%d", c.ours, k)); err != nil {
				return err
			}
		}
	}
	if len(s) > 0 {
		return fmt.Errorf("unsupported weights %v; only MlpPolicy with two critics can be imported, without gSDE and without a feature extractor", slices.Sorted(maps.Keys(s)))
	}
	m.Policy.Activation, m.Critic.Activation = m.Settings.activation, m.Settings.activation
	return nil
}

func (m *Model) takeActor(s state) error {
	hidden, err := s.layers("actor.latent_pi")
	if err != nil {
		return err
	}
	mean, hasMean, err := s.layer("actor.mu")
	if err != nil {
		return err
	}
	logStd, hasStd, err := s.layer("actor.log_std")
	if err != nil {
		return err
	}
	if len(hidden) == 0 || !hasMean || !hasStd {
		return errors.New("missing SAC actor (actor.latent_pi.0, actor.mu, actor.log_std) with at least one hidden layer")
	}
	width := hidden[len(hidden)-1].outputs()
	m.ObsDim, m.ActDim = hidden[0].inputs(), mean.outputs()
	if mean.inputs() != width || logStd.inputs() != width || logStd.outputs() != m.ActDim {
		return fmt.Errorf("actor heads map %d to %d and %d to %d numbers after a layer of width %d", mean.inputs(), mean.outputs(), logStd.inputs(), logStd.outputs(), width)
	}
	for i, l := range hidden {
		m.Policy.Hidden = append(m.Policy.Hidden, l.outputs())
		m.put(fmt.Sprintf("/policy/gaussian/hidden_%d", i), l, 0, l.inputs(), true)
	}
	// Two heads there are one layer here: first the means, then log σ.
	m.put("/policy/gaussian/out", layer{
		torchfile.Tensor{Shape: []int{2 * m.ActDim, width}, Data: slices.Concat(mean.weights.Data, logStd.weights.Data)},
		torchfile.Tensor{Shape: []int{2 * m.ActDim}, Data: slices.Concat(mean.biases.Data, logStd.biases.Data)},
	}, 0, width, true)
	return nil
}

func (m *Model) takeCritic(s state, theirs, ours string) error {
	all, err := s.layers(theirs)
	if err != nil {
		return err
	}
	n := len(all)
	if n < 2 || all[0].inputs() != m.ObsDim+m.ActDim || all[n-1].outputs() != 1 {
		return fmt.Errorf("critic %s does not take %d observation and %d action numbers, or has no hidden layer", theirs, m.ObsDim, m.ActDim)
	}
	var hidden []int
	for _, l := range all[:n-1] {
		hidden = append(hidden, l.outputs())
	}
	if m.Critic.Hidden == nil {
		m.Critic.Hidden = hidden
	}
	if !slices.Equal(hidden, m.Critic.Hidden) {
		return fmt.Errorf("critic %s has hidden layers %v, the other critic %v", theirs, hidden, m.Critic.Hidden)
	}
	// The first layer there reads observation and action together; here it is the sum of
	// two.
	m.put(ours+"/of_obs", all[0], 0, m.ObsDim, true)
	m.put(ours+"/of_action", all[0], m.ObsDim, m.ObsDim+m.ActDim, false)
	for i, l := range all[1 : n-1] {
		m.put(fmt.Sprintf("%s/rest/hidden_%d", ours, i), l, 0, l.inputs(), true)
	}
	m.put(ours+"/rest/out", all[n-1], 0, all[n-1].inputs(), true)
	return nil
}

// put stores the part of a layer for the inputs from and to, transposed.
func (m *Model) put(path string, l layer, from, to int, biased bool) {
	out := l.outputs()
	t := torchfile.Tensor{Shape: []int{to - from, out}, Data: make([]float32, (to-from)*out)}
	for i := range to - from {
		for j := range out {
			t.Data[i*out+j] = l.weights.Data[j*l.inputs()+from+i]
		}
	}
	m.Weights[path+"/weights"] = t
	if biased {
		m.Weights[path+"/biases"] = l.biases
	}
}
