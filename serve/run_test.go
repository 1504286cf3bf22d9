package serve_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stein-rl/stein/agents"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
	"github.com/stein-rl/stein/serve"
	"github.com/stein-rl/stein/serve/client"
)

const obsDim, actDim = 3, 2

// small networks compile fast.
var small = []string{"policy.hidden=[16]", "agent.critic.hidden=[16]"}

// A run is a run folder whose checkpoints hold untrained networks, one seed each.
type run struct {
	dir  string
	cfg  experiments.Config
	spec envbridge.Spec
}

func newRun(t testing.TB, config string, sets ...string) run {
	t.Helper()
	cfg, err := experiments.Builtin().Resolve(config, append(sets, "seed=1"))
	if err != nil {
		t.Fatal(err)
	}
	r := run{filepath.Join(t.TempDir(), "run"), cfg, envbridge.Spec{ID: cfg.Env.ID, Copies: 1, ObsDim: obsDim, ActDim: actDim}}
	folder, err := runs.Create(r.dir, "", config, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(folder.Begin(runs.Session{}), folder.Close()); err != nil {
		t.Fatal(err)
	}
	return r
}

// learner returns a learner with weights initialised from seed.
func (r run) learner(t testing.TB, seed uint64) agents.Learner {
	t.Helper()
	s, err := r.cfg.Agent.Value.Make(agents.Task{Backend: enginetest.Backend(t), Spec: r.spec, Policy: r.cfg.Policy.Value, Seed: seed, Use: agents.ToAct})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// save writes a checkpoint for a step.
func (r run) save(t testing.TB, step int64, s agents.Learner) {
	t.Helper()
	_, err := checkpoint.Write(runs.Checkpoints(r.dir), step, func(w *checkpoint.Writer) error {
		sizes := map[string]any{"obs_dim": r.spec.ObsDim, "act_dim": r.spec.ActDim}
		if b := r.spec.Bounds; b != nil {
			sizes["act_low"], sizes["act_high"] = b.Low, b.High
			sizes["obs_shape"], sizes["act_shape"] = r.spec.ObsShape, r.spec.ActShape
		}
		return errors.Join(w.Store("agent", s.Store()), w.JSON("sizes", sizes))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// config returns a configuration that serves runs as a, b and so on.
func config(t testing.TB, runs ...run) serve.Config {
	c := serve.Config{Catalog: experiments.Builtin(), Backend: enginetest.Backend(t), Log: slog.New(slog.DiscardHandler), Limits: serve.Limits{Batch: 8}}
	for i, r := range runs {
		c.Policies = append(c.Policies, serve.Source{Name: string(rune('a' + i)), Dir: r.dir})
	}
	return c
}

// start serves until the test ends and returns the address.
func start(t testing.TB, c serve.Config) string {
	t.Helper()
	server, err := serve.New(c)
	if err != nil {
		t.Fatal(err)
	}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, at) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the server did not end")
		}
		server.Close()
	})
	return at.Addr().String()
}

func dial(t testing.TB, address string, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Dial(address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ptr[T any](x T) *T { return &x }
