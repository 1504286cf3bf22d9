package ebm

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/stein-rl/stein/internal/figures"
	"github.com/stein-rl/stein/random"
)

// Pictures are what a model learns from.
type Pictures interface {
	// Draw fills dst, [N, H, W, C], with pictures drawn by rng.
	Draw(dst []float32, rng *rand.Rand)
}

// A Recorder is told figures as training goes. It must not keep m.
type Recorder interface {
	Record(update int64, m map[string]float64) error
}

// A Loop is a training: its parts, and how far it goes. Model is the caller's to close.
type Loop struct {
	Model    *Model
	Pictures Pictures
	Updates  int64  // in all
	Seed     uint64 // of which pictures are drawn

	Recorder Recorder // nil: none
	Every    int64    // updates between records; 0: none but the last
	Periodic []Periodic

	clock   figures.Clock
	figures figures.Averages
}

// A Periodic task is done whenever the updates pass a multiple of Every, between two of
// them. 0: never.
type Periodic struct {
	Every int64
	Do    func(ctx context.Context, update int64) error
}

// prepared is how many pictures the initial distribution is placed by.
const prepared = 2000

// Train takes updates until there have been Updates of them. It can go on from a Model
// that was restored. What it draws follows from Seed and the number of the update.
//
// After an error, ctx's included, the model stands between two updates and can be saved.
// A *Divergence is such an error.
func (l *Loop) Train(ctx context.Context) error {
	if err := l.prepare(); err != nil {
		return err
	}
	l.clock = figures.NewClock(l.done(), "data", "update")
	batch := make([]float32, l.Model.BatchSize()*l.Model.Shape().Size())
	for l.done() < l.Updates {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("ebm: stopped after update %d: %w", l.done(), err)
		}
		l.Model.SetProgress(float64(l.done()) / float64(l.Updates))

		stop := l.clock.Phase("data")
		l.Pictures.Draw(batch, l.rng(uint64(l.done())+1))
		stop()

		stop = l.clock.Phase("update")
		m, err := l.Model.Update(batch)
		stop()
		if err != nil {
			return err
		}
		l.figures.Add(m)

		if err := l.report(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loop) done() int64 { return int64(l.Model.State().Updates) }

// rng draws the pictures of an update; 0 is that of preparation.
func (l *Loop) rng(update uint64) *rand.Rand {
	return rand.New(rand.NewPCG(random.Mix(l.Seed, pictureStream), update))
}

func (l *Loop) prepare() error {
	if l.Model.State().Prepared {
		return nil
	}
	some := make([]float32, prepared*l.Model.Shape().Size())
	l.Pictures.Draw(some, l.rng(0))
	return l.Model.Prepare(some)
}

// report records figures and does the periodic tasks that are due.
func (l *Loop) report(ctx context.Context) error {
	now := l.done()
	due := func(every int64) bool { return every > 0 && now%every == 0 }
	if l.Recorder != nil && (due(l.Every) || now == l.Updates) {
		m := l.clock.Metrics(now)
		l.figures.Take(m)
		if err := l.Recorder.Record(now, m); err != nil {
			return fmt.Errorf("ebm: recording update %d: %w", now, err)
		}
	}
	defer l.clock.Pause()()
	for _, p := range l.Periodic {
		if due(p.Every) {
			if err := p.Do(ctx, now); err != nil {
				return err
			}
		}
	}
	return nil
}
