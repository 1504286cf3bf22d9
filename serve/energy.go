package serve

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/serve/servepb"
)

// An energy serves the run of an image model. Requests are computed one at a time, all
// images of a request together.
type energy struct {
	name   string
	limits Limits
	log    *slog.Logger
	gauges gauges
	update atomic.Int64 // update of the checkpoint in use
	queued atomic.Int64 // waiting images

	mu    sync.Mutex // guards the use of model
	model *experiments.ImageModel
}

func (s *Server) openEnergy(source Source) (*energy, error) {
	started := time.Now()
	model, err := experiments.ImageSampling{
		Dir: source.Dir, Checkpoint: source.Checkpoint, Log: s.config.Log, Backend: s.config.Backend,
	}.Open(context.Background())
	if err != nil {
		return nil, err
	}
	e := &energy{
		name: source.Name, model: model, limits: s.config.Limits, gauges: s.metrics.of(source.Name),
		log: s.config.Log.With("energy", source.Name, "run", model.Info.ID),
	}
	e.update.Store(model.Update)
	shape := model.Shape()
	blank := &dataset.Images{Height: shape.Height, Width: shape.Width, Channels: shape.Channels, Pixels: make([]byte, shape.Size())}
	if _, err := model.Score(blank); err != nil { // compiles the graph, or fails if the model has no energy
		model.Close()
		return nil, err
	}
	e.log.Info("energy ready", "data", model.Config.Data.Name, "update", model.Update, "height", shape.Height, "width", shape.Width,
		"channels", shape.Channels, "seconds", time.Since(started).Round(100*time.Millisecond).Seconds())
	return e, nil
}

// energyOf returns the image model with this name, or nil; "" means the first.
func (s *Server) energyOf(name string) *energy {
	for _, e := range s.energies {
		if e.name == name || name == "" {
			return e
		}
	}
	return nil
}

func (s *Server) unknownModel(name string) error {
	var names []string
	for _, e := range s.energies {
		names = append(names, e.name)
	}
	if names == nil {
		return status.Error(codes.NotFound, "this server has no image models")
	}
	return status.Errorf(codes.NotFound, "unknown image model %.80q; this server has %s", name, strings.Join(names, ", "))
}

// An energyService implements the service Energies.
type energyService struct {
	servepb.UnimplementedEnergiesServer
	*Server
}

// Score answers one request.
func (s energyService) Score(ctx context.Context, r *servepb.ScoreRequest) (*servepb.ScoreResponse, error) {
	started := time.Now()
	e := s.energyOf(r.Model)
	if e == nil {
		return nil, s.unknownModel(r.Model)
	}
	f, update, err := e.score(ctx, r.Pixels, r.Files)
	e.gauges.latency.Observe(time.Since(started).Seconds())
	if err != nil {
		s.metrics.failed(e.name, status.Code(err).String())
		return nil, err
	}
	e.gauges.answered.Inc()
	return &servepb.ScoreResponse{Energies: f, Update: update, Id: r.Id}, nil
}

// Models lists the image models.
func (s energyService) Models(_ context.Context, r *servepb.ModelsRequest) (*servepb.ModelsResponse, error) {
	energies := s.energies
	if r.Model != "" {
		e := s.energyOf(r.Model)
		if e == nil {
			return nil, s.unknownModel(r.Model)
		}
		energies = []*energy{e}
	}
	answer := &servepb.ModelsResponse{}
	for _, e := range energies {
		shape := e.model.Shape()
		answer.Models = append(answer.Models, &servepb.ModelSpec{
			Name: e.name, Data: e.model.Config.Data.Name, Height: uint32(shape.Height), Width: uint32(shape.Width), Channels: uint32(shape.Channels),
			Temperature: e.model.Config.Model.Temperature, Update: e.update.Load(), Run: e.model.Info.ID,
		})
	}
	return answer, nil
}

// images returns the images of a request, fitted to the model's size.
func (e *energy) images(pixels []byte, files [][]byte) (*dataset.Images, error) {
	shape := e.model.Shape()
	all := &dataset.Images{Name: "request", Height: shape.Height, Width: shape.Width, Channels: shape.Channels, Pixels: bytes.Clone(pixels)}
	if len(pixels)%shape.Size() != 0 {
		return nil, status.Errorf(codes.InvalidArgument, "image model %s: got %d bytes of pixels, not a multiple of %d×%d×%d",
			e.name, len(pixels), shape.Height, shape.Width, shape.Channels)
	}
	n := len(pixels)/shape.Size() + len(files)
	if n == 0 {
		return nil, status.Errorf(codes.InvalidArgument, "image model %s: got no images", e.name)
	}
	if n > e.limits.Queue {
		return nil, status.Errorf(codes.InvalidArgument, "image model %s: got %d images in one request, the limit is %d", e.name, n, e.limits.Queue)
	}
	for i, data := range files {
		one, err := dataset.Decode(fmt.Sprintf("file %d", i), bytes.NewReader(data))
		if err == nil {
			one, err = e.model.Fit(one)
		}
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "image model %s: %v", e.name, err)
		}
		all.Pixels = append(all.Pixels, one.Pixels...)
	}
	return all, nil
}

// score computes f of a request's images. It skips a request whose client has left.
func (e *energy) score(ctx context.Context, pixels []byte, files [][]byte) ([]float64, int64, error) {
	images, err := e.images(pixels, files)
	if err != nil {
		return nil, 0, err
	}
	n := int64(images.Len())
	defer e.queued.Add(-n)
	if waiting := e.queued.Add(n); waiting > int64(e.limits.Queue) {
		return nil, 0, status.Errorf(codes.ResourceExhausted, "image model %s: %d images are waiting, the limit is %d: try again later", e.name, waiting-n, e.limits.Queue)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() != nil {
		e.gauges.expired.Inc()
		return nil, 0, status.FromContextError(ctx.Err()).Err()
	}
	started := time.Now()
	scores, err := e.model.Score(images)
	if err != nil {
		e.log.Error("a request failed", "images", n, "error", err.Error())
		return nil, 0, status.Errorf(codes.Internal, "image model %s: %v", e.name, err)
	}
	e.gauges.batch(images.Len(), time.Since(started))
	return scores.F, e.model.Update, nil
}

func (e *energy) refresh() error {
	saved, err := e.model.Newer()
	if err != nil || saved == nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.model.Adopt(saved); err != nil {
		return fmt.Errorf("%s: %w", saved.Path, err)
	}
	e.update.Store(e.model.Update)
	e.gauges.reloads.Inc()
	e.log.Info("reloaded", "update", e.model.Update, "checkpoint", saved.Path)
	return nil
}
