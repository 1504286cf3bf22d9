package agents

// A Schedule says when a Loop acts at random and when its agent learns, in
// environment steps: one step of one copy counts one.
type Schedule struct {
	BatchSize      int     `yaml:"batch_size" want:">= 1"`      // transitions per update
	RandomSteps    int64   `yaml:"random_steps" want:">= 0"`    // steps with uniform actions at the start
	LearningStarts int64   `yaml:"learning_starts" want:">= 0"` // steps before the first update
	TrainEvery     int64   `yaml:"train_every" want:">= 1"`     // steps between rounds of updates
	UpdateToData   float64 `yaml:"update_to_data" want:"> 0"`   // updates per step, whatever the number of copies
	FusedUpdates   int     `yaml:"fused_updates" want:">= 1"`   // K, updates done in one call of the engine
}

// DefaultSchedule is Stable-Baselines3's, with eight updates fused every eight steps,
// which keeps the ratio of one update per step.
func DefaultSchedule() Schedule {
	return Schedule{BatchSize: 256, RandomSteps: 10_000, LearningStarts: 10_000, TrainEvery: 8, UpdateToData: 1, FusedUpdates: 8}
}
