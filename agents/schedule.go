package agents

// A Schedule says when a Loop acts at random and when its agent learns, in environment
// steps. A step of one copy counts as one.
type Schedule struct {
	BatchSize      int     `yaml:"batch_size" want:">= 1"`      // transitions per update
	RandomSteps    int64   `yaml:"random_steps" want:">= 0"`    // steps with uniform actions at the start
	LearningStarts int64   `yaml:"learning_starts" want:">= 0"` // steps before the first update
	TrainEvery     int64   `yaml:"train_every" want:">= 1"`     // steps between rounds of updates
	UpdateToData   float64 `yaml:"update_to_data" want:"> 0"`   // updates per environment step, for any number of copies
	FusedUpdates   int     `yaml:"fused_updates" want:">= 1"`   // K, updates per call of the engine
}

// DefaultSchedule is Stable-Baselines3's, with eight fused updates every eight steps,
// which keeps one update per step.
func DefaultSchedule() Schedule {
	return Schedule{BatchSize: 256, RandomSteps: 10_000, LearningStarts: 10_000, TrainEvery: 8, UpdateToData: 1, FusedUpdates: 8}
}
