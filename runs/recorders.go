package runs

import (
	"context"
	"log/slog"
	"time"

	"github.com/stein-rl/stein/internal/tfevents"
)

// Metrics are scalars by Stable-Baselines3's names, such as train/critic_loss.
type Metrics = map[string]float64

// A Recorder receives figures during training. step counts environment steps, or updates.
// It must not keep m.
//
// agents.Recorder and ebm.Recorder have the same method. Each loop declares what it calls,
// so that neither imports this package: a loop can be used without a run folder.
type Recorder interface {
	Record(step int64, m Metrics) error
}

// A Watcher displays the progress of a run.
type Watcher interface {
	Recorder
	Start(from, total int64)
	Stepped(step int64)
}

// recorders calls several Recorders. If one fails, for instance on a full disk, training
// continues and the failure is logged at most once a minute.
type recorders struct {
	all    []Recorder
	log    *slog.Logger
	warned time.Time
}

var _ Recorder = (*recorders)(nil)

func (r *recorders) Record(step int64, m Metrics) error {
	for _, one := range r.all {
		err := one.Record(step, m)
		if err != nil && time.Since(r.warned) > time.Minute {
			r.log.LogAttrs(context.Background(), slog.LevelWarn, "cannot write metrics; training continues",
				slog.Int64("step", step), slog.String("error", err.Error()))
			r.warned = time.Now()
		}
	}
	return nil
}

// board writes to TensorBoard.
type board struct{ w *tfevents.Writer }

var _ Recorder = board{}

func (b board) Record(step int64, m Metrics) error {
	b.w.Scalars(step, m)
	return b.w.Flush()
}
