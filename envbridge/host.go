//go:build unix

package envbridge

import (
	"context"
	"fmt"
)

// A Host starts workers on other machines.
type Host interface {
	// Place starts the worker of a name and returns its location. A second call for a
	// name means that the worker failed: Place starts another one, on another machine if
	// the first is gone.
	Place(ctx context.Context, name string) (Location, error)
}

// A Location is the endpoint of a worker and the key it accepts.
type Location struct {
	Endpoint string
	Key      *Key
}

// Place starts a worker on the host for each name and connects to them. Each has w.Copies
// copies. See Start.
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

// locate asks the host to place the worker.
func (m *member) locate(ctx context.Context) error {
	at, err := m.host.Place(ctx, m.name)
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
