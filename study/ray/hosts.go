package ray

import (
	"context"
	"time"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/driver"
)

// Hosts places simulator workers on the nodes of a Ray cluster. Each worker creates its
// secret key on its node, and the client's stays in this process: Ray transports only
// public keys.
type Hosts struct {
	driver *driver.Driver
	client envbridge.Key
	cpus   float64
}

var _ envbridge.Host = (*Hosts)(nil)

// room is how long a worker may wait for a node with free resources.
const room = 5 * time.Minute

// OpenHosts joins the cluster. Each worker requests cpus processors.
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

// Place starts a worker, replacing the previous one of that post.
func (h *Hosts) Place(ctx context.Context, p envbridge.Post) (at envbridge.Location, err error) {
	var where struct{ Endpoint, Public string }
	err = h.driver.Call(ctx, "place", map[string]any{
		"name": p.String(), "client": h.client.Public, "cpus": h.cpusOf(p), "seconds": room.Seconds(),
	}, &where)
	key := h.client
	key.Peer = where.Public
	return envbridge.Location{Endpoint: where.Endpoint, Key: &key}, err
}

// cpusOf is the number of processors that a worker requests.
func (h *Hosts) cpusOf(p envbridge.Post) float64 {
	if p.For != envbridge.Training {
		return 0 // it works while no training worker does
	}
	return h.cpus
}

// Close ends the workers and leaves the cluster.
func (h *Hosts) Close() error { return h.driver.Close() }
