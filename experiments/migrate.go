package experiments

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stein-rl/stein/internal/settings"
)

// scheduleKeys were keys of agent in version 1. They are the loop's, whoever learns.
var scheduleKeys = []string{"batch_size", "random_steps", "learning_starts", "train_every", "update_to_data", "fused_updates"}

// CurrentKey is the present name of a setting that may go by its name of version 1.
func CurrentKey(key string) string {
	for _, name := range scheduleKeys {
		if key == "agent."+name {
			return "schedule." + name
		}
	}
	return key
}

// migrate brings settings of version 1, and single ones by their old names, to
// version 2. It says which ones it renamed.
func migrate(t *settings.Tree) (renamed []string, err error) {
	var version int
	if err := t.Get("version", &version); err != nil {
		return nil, err
	}
	if version == 1 {
		if err := t.Take("version", &version); err != nil {
			return nil, err
		}
		t.Default("agent.kind", "sac") // the only one that there was
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

// migrateAll migrates the layers of one configuration, and warns once of all names
// that are old.
func migrateAll(layers []*settings.Tree, warn func(string)) error {
	var renamed []string
	var all []error
	for _, t := range layers {
		names, err := migrate(t)
		renamed, all = append(renamed, names...), append(all, err)
	}
	if len(renamed) > 0 && warn != nil {
		warn("settings go by their old names, which are still read: " + strings.Join(renamed, ", "))
	}
	return errors.Join(all...)
}
