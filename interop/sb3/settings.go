package sb3

import (
	"encoding/json"
	"errors"
	"fmt"
	"github.com/stein-rl/stein/internal/settings"
	"regexp"
	"strconv"
	"strings"
)

// Settings are a model's training settings. A nil pointer means that the file does not
// store a readable value, such as for a learning rate schedule.
type Settings struct {
	Steps   int64  // environment steps
	Updates uint64 // gradient steps

	Gamma, Tau, LearningRate, TargetEntropy *float64
	BatchSize, NStep                        *int64
	Alpha                                   *float64 // fixed temperature; nil: learned

	activation string
}

// data is the JSON that is read. Values that only Python can read are objects with
// pickled bytes, which are never unpickled.
type data struct {
	Kwargs  json.RawMessage `json:"policy_kwargs"`
	Steps   json.RawMessage `json:"num_timesteps"`
	Updates json.RawMessage `json:"_n_updates"`

	Gamma         json.RawMessage `json:"gamma"`
	Tau           json.RawMessage `json:"tau"`
	LearningRate  json.RawMessage `json:"learning_rate"`
	TargetEntropy json.RawMessage `json:"target_entropy"`
	BatchSize     json.RawMessage `json:"batch_size"`
	NStep         json.RawMessage `json:"n_steps"`
	Alpha         json.RawMessage `json:"ent_coef"`
}

func readSettings(text []byte) (Settings, error) {
	var d data
	if err := settings.FromJSON(text, &d); err != nil {
		return Settings{}, err
	}
	s := Settings{
		Gamma: number[float64](d.Gamma), Tau: number[float64](d.Tau), LearningRate: number[float64](d.LearningRate),
		TargetEntropy: number[float64](d.TargetEntropy), BatchSize: number[int64](d.BatchSize), NStep: number[int64](d.NStep),
		Alpha: number[float64](d.Alpha),
	}
	if steps := number[int64](d.Steps); steps != nil && *steps >= 0 {
		s.Steps = *steps
	}
	if updates := number[uint64](d.Updates); updates != nil {
		s.Updates = *updates
	}
	var err error
	s.activation, err = activation(d.Kwargs)
	return s, err
}

func number[T any](text json.RawMessage) *T {
	var x *T
	if json.Unmarshal(text, &x) != nil {
		return nil
	}
	return x
}

// activations maps PyTorch's class names to Stein's names.
var activations = map[string]string{"ReLU": "relu", "Tanh": "tanh", "ELU": "elu", "SiLU": "silu", "GELU": "gelu"}

var activationClass = regexp.MustCompile(`^<class 'torch\.nn\.modules\.activation\.(\w+)'>$`)

// activation returns the activation in the keyword arguments of MlpPolicy. A class is
// stored as its name next to the pickled bytes.
func activation(kwargs json.RawMessage) (string, error) {
	if kwargs == nil {
		return "", errors.New("policy_kwargs is missing (was the file written by SAC.save?)")
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(kwargs, &all) != nil {
		return "", fmt.Errorf("policy_kwargs: want an object, not %.80s", kwargs)
	}
	raw, ok := all["activation_fn"]
	if !ok {
		return "relu", nil // default of MlpPolicy
	}
	var name string
	if json.Unmarshal(raw, &name) == nil {
		if found := activationClass.FindStringSubmatch(name); found != nil && activations[found[1]] != "" {
			return activations[found[1]], nil
		}
	}
	return "", fmt.Errorf("policy_kwargs: unsupported activation_fn %.80s; want ReLU, Tanh, ELU, SiLU or GELU", raw)
}

// Assignments returns the configuration keys that follow from the model, as arguments of
// --set.
func (m *Model) Assignments() []string {
	var all []string
	set := func(key, value string) { all = append(all, key+"="+value) }
	set("policy", fmt.Sprintf("{kind: gaussian, hidden: %s, activation: %s, log_std_min: -20, log_std_max: 2}", list(m.Policy.Hidden), m.Policy.Activation))
	set("agent.kind", "sac")
	set("agent.critic", fmt.Sprintf("{hidden: %s, activation: %s}", list(m.Critic.Hidden), m.Critic.Activation))
	set("schedule.random_steps", "0") // the agent is already trained
	set("agent.particles", "1")
	for _, x := range []struct {
		keys  []string
		value *float64
	}{
		{[]string{"gamma"}, m.Settings.Gamma}, {[]string{"tau"}, m.Settings.Tau}, {[]string{"target_entropy"}, m.Settings.TargetEntropy},
		{[]string{"actor_lr", "critic_lr", "alpha_lr"}, m.Settings.LearningRate},
	} {
		for _, key := range x.keys {
			if x.value != nil {
				set("agent."+key, strconv.FormatFloat(*x.value, 'g', -1, 64))
			}
		}
	}
	if m.Settings.BatchSize != nil {
		set("schedule.batch_size", strconv.FormatInt(*m.Settings.BatchSize, 10))
	}
	if m.Settings.NStep != nil {
		set("agent.n_step", strconv.FormatInt(*m.Settings.NStep, 10))
	}
	if a := m.Settings.Alpha; a != nil {
		set("agent.auto_alpha", "false")
		set("agent.alpha", strconv.FormatFloat(*a, 'g', -1, 64))
	} else {
		set("agent.auto_alpha", "true")
	}
	set("steps", strconv.FormatInt(max(1, m.Settings.Steps), 10))
	return append(all, "normalize.obs=false", "normalize.reward=false")
}

func list(widths []int) string {
	text := make([]string, len(widths))
	for i, w := range widths {
		text[i] = strconv.Itoa(w)
	}
	return "[" + strings.Join(text, ", ") + "]"
}
