package ray

import (
	"context"
	"strings"
	"time"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/driver"
)

// Hosts places simulator workers on the nodes of a Ray cluster. Each makes its secret
// key where it runs, and ours stays in this process: Ray carries public keys alone.
type Hosts struct {
	driver *driver.Driver
	client envbridge.Key
	cpus   float64
}

var _ envbridge.Host = (*Hosts)(nil)

// room is how long a worker may wait for a node that has room for it.
const room = 5 * time.Minute

// OpenHosts joins the cluster. A worker is counted as so many processors there.
func OpenHosts(ctx context.Context, c Cluster, cpus float64) (*Hosts, error) {
	key, err := envbridge.NewKey("client")
	if err != nil {
		return nil, err
	}
	d, err := c.connect(ctx, map[string]any{}, nil)
	if err != nil {
		return nil, err
	}
	return &Hosts{d, key, cpus}, nil
}

// Place starts a worker, in place of the one of that name.
func (h *Hosts) Place(ctx context.Context, name string) (at envbridge.Location, err error) {
	var where struct{ Endpoint, Public string }
	cpus := h.cpus
	if strings.HasPrefix(name, "evaluation") {
		cpus = 0 // it works while those of the training wait
	}
	err = h.driver.Call(ctx, "place", map[string]any{
		"name": name, "client": h.client.Public, "cpus": cpus, "seconds": room.Seconds(),
	}, &where)
	key := h.client
	key.Peer = where.Public
	return envbridge.Location{Endpoint: where.Endpoint, Key: &key}, err
}

// Close ends the workers and leaves the cluster.
func (h *Hosts) Close() error { return h.driver.Close() }
