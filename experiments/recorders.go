package experiments

import (
	"context"
	"log/slog"
	"time"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/internal/tfevents"
)

// recorders tells several. One that fails, on a full disk for instance, costs no
// training: it is logged, at most once a minute.
type recorders struct {
	all    []agents.Recorder
	log    *slog.Logger
	warned time.Time
}

var _ agents.Recorder = (*recorders)(nil)

func (r *recorders) Record(step int64, m agents.Metrics) error {
	for _, one := range r.all {
		err := one.Record(step, m)
		if err != nil && time.Since(r.warned) > time.Minute {
			r.log.LogAttrs(context.Background(), slog.LevelWarn, "metrics were not written; training goes on",
				slog.Int64("step", step), slog.String("error", err.Error()))
			r.warned = time.Now()
		}
	}
	return nil
}

// board records for TensorBoard.
type board struct{ w *tfevents.Writer }

var _ agents.Recorder = board{}

func (b board) Record(step int64, m agents.Metrics) error {
	b.w.Scalars(step, m)
	return b.w.Flush()
}
