package ebm

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/stein-rl/stein/internal/figures"
	"github.com/stein-rl/stein/random"
)

// Pictures are the training images.
type Pictures interface {
	// Draw fills dst, [N, H, W, C], with images selected by rng.
	Draw(dst []float32, rng *rand.Rand)
}

// A Recorder receives a Loop's figures. It must not keep m. A run folder's implementation
// is in package runs, which this package does not import.
type Recorder interface {
	Record(update int64, m map[string]float64) error
}

// A Loop is a training: its parts and its length. The caller closes Model.
type Loop struct {
	Model    *Model
	Pictures Pictures
	Updates  int64  // in total
	Seed     uint64 // seed of the selection of images

	Recorder Recorder // nil: none
	Every    int64    // updates between records; 0: only the last
	Periodic []Periodic

	clock   figures.Clock
	figures figures.Averages
}

// A Periodic task runs whenever the number of updates passes a multiple of Every (0:
// never), between two updates.
type Periodic struct {
	Every int64
	Do    func(ctx context.Context, update int64) error
}

// prepared is the number of images that initialise the initial distribution.
const prepared = 2000

// Train makes updates until there are Updates of them. It can continue with a restored
// Model. Random draws depend on Seed and the number of the update.
//
// After an error, including ctx's, the model is between two updates and can be saved. The
// error may be a *Divergence.
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

// rng selects the images of an update; 0 is for preparation.
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

// report records figures and runs the periodic tasks that are due.
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
