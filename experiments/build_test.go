package experiments

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/stein-rl/stein/envbridge"
)

// posts is a host that has no room, and keeps what it was asked for.
type posts struct {
	mu    sync.Mutex
	asked []string
}

var errFull = errors.New("the host is full")

func (p *posts) Place(_ context.Context, post envbridge.Post) (envbridge.Location, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, string(post.For)+" "+post.String())
	return envbridge.Location{}, errFull
}

// Ensure that a host is told what each worker is for.
func TestPostsOfWorkers(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		purpose envbridge.Purpose
		connect func(e Env, l link) (envs, error)
		want    []string // the first refusal may cancel the other starts
	}{
		{envbridge.Training, func(e Env, l link) (envs, error) { return e.connect(t.Context(), l) }, []string{"training training-0", "training training-1"}},
		{envbridge.Evaluation, func(e Env, l link) (envs, error) { return e.connectEval(t.Context(), 3, l) }, []string{"evaluation evaluation-0"}},
	} {
		var host posts
		e := Env{ID: "Pendulum-v1", Workers: 2, Copies: 1}
		e.PlaceOn(&host)
		if _, err := c.connect(e, link{log: quiet, purpose: c.purpose}); !errors.Is(err, errFull) {
			t.Errorf("%s: error %v, want %v", c.purpose, err, errFull)
		}
		if len(host.asked) == 0 {
			t.Errorf("%s: nothing was placed", c.purpose)
		}
		for _, asked := range host.asked {
			if !slices.Contains(c.want, asked) {
				t.Errorf("%s: asked for %q, want some of %q", c.purpose, asked, c.want)
			}
		}
	}
}
