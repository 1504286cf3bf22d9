//go:build unix

package envbridge

import (
	"context"
	"fmt"
)

// A Host starts workers on other machines.
type Host interface {
	// Place starts the worker of a post and returns its location. A second call for a
	// post means that the worker failed: Place starts another one, on another machine if
	// the first is gone.
	Place(ctx context.Context, p Post) (Location, error)
}

// A Post identifies a worker among those of a run.
type Post struct {
	For    Purpose
	Number int // among those of this purpose
}

func (p Post) String() string { return fmt.Sprintf("%s-%d", p.For, p.Number) }

// A Purpose is what environments are stepped for.
type Purpose string

const (
	Training   Purpose = "training"
	Evaluation Purpose = "evaluation" // while the training waits
	Video      Purpose = "video"      // after the training
)

// A Location is the endpoint of a worker and the key it accepts.
type Location struct {
	Endpoint string
	Key      *Key
}

// Place starts a worker on the host for each post and connects to them. Each has w.Copies
// copies. See Start.
func Place(ctx context.Context, host Host, posts []Post, w Worker) (*Bridge, error) {
	if err := w.complete(); err != nil {
		return nil, err
	}
	b := &Bridge{clock: w.Clock}
	for _, p := range posts {
		m := b.add(&w, p.String())
		m.host, m.post = host, p
	}
	return b.open(ctx)
}

// locate asks the host to place the worker.
func (m *member) locate(ctx context.Context) error {
	at, err := m.host.Place(ctx, m.post)
	if err == nil {
		err = checkEndpoint(at.Endpoint, at.Key)
	}
	if err != nil {
		return fmt.Errorf("%w: cannot place the worker: %w", errRefused, err)
	}
	m.endpoint, m.key = at.Endpoint, at.Key
	m.log.Info("worker placed", "worker", m.name, "endpoint", at.Endpoint)
	return nil
}
