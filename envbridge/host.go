//go:build unix

package envbridge

import (
	"context"
	"fmt"
)

// A Host starts workers on machines of its choice.
type Host interface {
	// Place starts the worker of a name and says where it is. Asked again for a name,
	// the one before has failed: it starts another, elsewhere where that one's machine
	// is gone.
	Place(ctx context.Context, name string) (Location, error)
}

// A Location is where a worker listens, and the key that it takes.
type Location struct {
	Endpoint string
	Key      *Key
}

// Place has a host start a worker for each name and connects to them; each gets
// w.Copies copies. See Start.
func Place(ctx context.Context, host Host, names []string, w Worker) (*Bridge, error) {
	if err := w.complete(); err != nil {
		return nil, err
	}
	b := &Bridge{clock: w.Clock}
	for _, name := range names {
		b.add(&w, name).host = host
	}
	return b.open(ctx)
}

// locate asks the host for a place.
func (m *member) locate(ctx context.Context) error {
	at, err := m.host.Place(ctx, m.name)
	if err == nil {
		err = checkEndpoint(at.Endpoint, at.Key)
	}
	if err != nil {
		return fmt.Errorf("%w: no place for it: %w", errRefused, err)
	}
	m.endpoint, m.key = at.Endpoint, at.Key
	m.log.Info("worker placed", "worker", m.name, "endpoint", at.Endpoint)
	return nil
}
