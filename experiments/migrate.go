package experiments

import (
	"errors"
	"fmt"
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
