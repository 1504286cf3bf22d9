package experiments

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stein-rl/stein/internal/settings"
)

// scheduleKeys were keys of agent in version 1. They belong to the loop, for any learner.
var scheduleKeys = []string{"batch_size", "random_steps", "learning_starts", "train_every", "update_to_data", "fused_updates"}

// CurrentKey returns the current name of a setting that may use its name of version 1.
func CurrentKey(key string) string {
	for _, name := range scheduleKeys {
		if key == "agent."+name {
			return "schedule." + name
		}
	}
	return key
}

// ofKinds are the keys that belong to some kinds only, but that earlier versions wrote
// into run folders for every kind.
var ofKinds = []struct {
	under string // path of the kind
	kinds []string
	keys  []string
}{
	{"replay", []string{"prioritized"}, []string{"exponent", "weight"}},
	{"policy.sampler.bound", []string{"spectral", "frobenius"}, []string{"alpha", "clamp", "estimate"}},
	{"model.sampler.bound", []string{"spectral", "frobenius"}, []string{"alpha", "clamp", "estimate"}},
	{"model.initial", []string{"gaussian", "mixture"}, []string{"start", "std", "std_min", "std_max"}},
	{"model.initial", []string{"mixture"}, []string{"components"}},
	{"model.initial", []string{"glow"}, []string{"levels", "steps", "hidden"}},
}

// OfOtherKind reports whether a run folder's setting belongs to another kind than the one
// selected there, and so has no effect. get returns the setting of a key.
func OfOtherKind(key string, get func(key string) string) bool {
	for _, o := range ofKinds {
		name, under := strings.CutPrefix(key, o.under+".")
		if under && slices.Contains(o.keys, name) {
			return !slices.Contains(o.kinds, get(o.under+".kind"))
		}
	}
	return false
}

// migrate converts settings of version 1, and single settings with old names, to version
// 2. It returns the renamed ones.
func migrate(t *settings.Tree) (renamed []string, err error) {
	var version int
	if err := t.Get("version", &version); err != nil {
		return nil, err
	}
	if version == 1 {
		if err := t.Take("version", &version); err != nil {
			return nil, err
		}
		t.Default("agent.kind", "sac") // the only kind in version 1
	}
	var all []error
	for _, key := range scheduleKeys {
		old := "agent." + key
		place, err := t.Move(old, CurrentKey(old))
		all = append(all, err)
		if place != "" {
			renamed = append(renamed, fmt.Sprintf("%s is now %s (%s)", old, CurrentKey(old), place))
		}
	}
	return renamed, errors.Join(all...)
}

// migrateAll migrates the layers of one configuration and warns once about all old names.
func migrateAll(layers []*settings.Tree, warn func(string)) error {
	var renamed []string
	var all []error
	for _, t := range layers {
		names, err := migrate(t)
		renamed, all = append(renamed, names...), append(all, err)
	}
	if len(renamed) > 0 && warn != nil {
		warn("settings have old names, which still work: " + strings.Join(renamed, ", "))
	}
	return errors.Join(all...)
}
