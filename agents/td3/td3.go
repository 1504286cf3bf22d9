package td3

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/replay"
)

// The random-number streams of a learner.
const (
	updateStream = 1
	actStream    = 2
)

// A Learner is TD3. One goroutine uses it at a time.
type Learner struct {
	cfg     Config
	spec    envbridge.Spec
	batch   int
	seed    uint64
	backend compute.Backend
	store   *model.Store
	state   agents.Counters

	acting   *model.Exec
	updating [2]update // of the critics only, and of all
	absError []float32
	action   []float32
}

// An update is a compiled graph and the names of its figures.
type update struct {
	*model.Exec
	figures []string
}

var (
	_ agents.Learner  = (*Learner)(nil)
	_ agents.Judge    = (*Learner)(nil)
	_ agents.Answerer = (*Learner)(nil)
)

// New builds the learner for a task and compiles the graphs that the task's use needs.
func New(cfg Config, t agents.Task) (*Learner, error) {
	if err := errors.Join(settings.Refuse(errors.Join(cfg.Validate(), cfg.Check(t.Policy))), t.Validate()); err != nil {
		return nil, fmt.Errorf("td3: %w", err)
	}
	s := &Learner{cfg: cfg, spec: t.Spec, batch: t.Schedule.BatchSize, seed: t.Seed, backend: t.Backend, store: model.NewStore()}
	if err := s.build(t); err != nil {
		s.Close()
		return nil, fmt.Errorf("td3: %w", err)
	}
	return s, nil
}

func (s *Learner) build(t agents.Task) (err error) {
	in := s.inputShapes(max(s.batch, 1))
	err = nn.Create(s.backend, s.store, s.seed, in, func(scope *model.Scope, in []*Node) {
		target := scope.At(targetScope)
		for _, at := range []*model.Scope{scope, target} { // the sources of targets must exist first
			s.actor(at, in[inObs])
			s.critic(at, 0, in[inObs], in[inAction])
			s.critic(at, 1, in[inObs], in[inAction])
		}
		nn.Freeze(target)
		for i := range s.updating {
			_, _, stats := s.step(scope, in, i == 1)
			s.updating[i].figures = slices.Sorted(maps.Keys(stats))
		}
	})
	if err != nil {
		return err
	}
	if !t.Use.Trains() {
		if err := nn.ForgetMoments(s.store); err != nil {
			return err
		}
	}
	for _, target := range s.targets() {
		if err := target.Reset(); err != nil {
			return err
		}
	}
	if t.Use == agents.ToPlay {
		obs := []shapes.Shape{shapes.Make(dtypes.Float32, 1, s.spec.ObsDim)}
		if err := nn.KeepRead(s.backend, s.store, obs, func(scope *model.Scope, in []*Node) { s.actor(scope, in[0]) }); err != nil {
			return err
		}
	}
	s.acting, err = model.NewExec(s.backend, s.store, func(scope *model.Scope, obs *Node) *Node { return s.actor(scope, obs) })
	if err != nil {
		return err
	}
	if t.Use.Acts() {
		if _, err := s.acting.Compile(shapes.Make(dtypes.Float32, s.spec.Copies, s.spec.ObsDim)); err != nil {
			return err
		}
	}
	if t.Use != agents.ToLearn {
		return nil
	}
	for i := range s.updating {
		u := &s.updating[i]
		u.Exec, err = model.NewExec(s.backend, s.store, func(scope *model.Scope, in []*Node) []*Node {
			ok, absError, stats := s.step(scope, in, i == 1)
			all := make([]*Node, len(u.figures))
			for j, name := range u.figures {
				all[j] = stats[name]
			}
			return []*Node{ConvertDType(ok, dtypes.Int32), absError, Stack(all, 0)}
		})
		if err == nil {
			_, err = u.Compile(in...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inputShapes are the shapes of the inputs of an update with b transitions.
func (s *Learner) inputShapes(b int) []shapes.Shape {
	all := make([]shapes.Shape, inCount)
	for i := range all {
		all[i] = shapes.Make(dtypes.Float32, b)
	}
	all[inObs], all[inAction] = shapes.Make(dtypes.Float32, b, s.spec.ObsDim), shapes.Make(dtypes.Float32, b, s.spec.ActDim)
	all[inNext], all[inNoise] = all[inObs], all[inAction]
	return all
}

// Act returns μ(s), [N*S] -> [N*A], with noise unless greedy.
func (s *Learner) Act(obs []float32, greedy bool) ([]float32, error) {
	n, err := agents.Rows(obs, s.spec.ObsDim)
	if err != nil {
		return nil, fmt.Errorf("td3: %w", err)
	}
	out, err := s.acting.Call(tensors.FromFlatDataAndDimensions(obs, n, s.spec.ObsDim))
	if err != nil {
		return nil, fmt.Errorf("td3: acting: %w", err)
	}
	defer out[0].FinalizeAll()
	if s.action, err = tensors.CopyFlatData[float32](out[0]); err != nil {
		return nil, fmt.Errorf("td3: acting: %w", err)
	}
	if !greedy && s.cfg.Noise > 0 {
		for i, z := range normals(s.seed, actStream, s.state.Acts, len(s.action)) {
			s.action[i] = min(1, max(-1, s.action[i]+float32(s.cfg.Noise)*z))
		}
	}
	if !greedy {
		s.state.Acts++
	}
	if err := agents.CheckActions(s.action, s.spec.ActDim); err != nil {
		return nil, fmt.Errorf("td3: %w", err)
	}
	return s.action, nil
}

// normals draws n standard normal numbers from a seed, a stream and a count.
func normals(seed, stream, count uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(random.Mix(seed, stream), count))
	z := make([]float32, n)
	for i := range z {
		z[i] = float32(rng.NormFloat64())
	}
	return z
}

// Update makes one update per minibatch in b, each in its own call. It stops at an update
// that is not finite and leaves the learner as it was before that update.
func (s *Learner) Update(b *replay.Batch) (agents.Metrics, error) {
	if s.updating[0].Exec == nil {
		return nil, errors.New("td3: this learner was built only to act and cannot be updated")
	}
	if b.N == 0 || b.N%s.batch != 0 {
		return nil, fmt.Errorf("td3: got %d transitions, not a multiple of the minibatch size %d", b.N, s.batch)
	}
	s.absError = s.absError[:0]
	sums, counts := map[string]float64{}, map[string]float64{}
	for first := 0; first < b.N; first += s.batch {
		noise := normals(s.seed, updateStream, s.state.Updates, s.batch*s.spec.ActDim)
		if err := s.update(b, first, noise, sums, counts); err != nil {
			return nil, err
		}
	}
	m := agents.Metrics{"train/n_updates": float64(s.state.Updates), "train/learning_rate": s.cfg.ActorLR}
	for name, sum := range sums {
		m[name] = sum / counts[name]
	}
	return m, nil
}

// update makes one update with the minibatch that begins at row first, and adds up its
// figures.
func (s *Learner) update(b *replay.Batch, first int, noise []float32, sums, counts map[string]float64) error {
	in := make([]any, inCount)
	for i, shape := range s.inputShapes(s.batch) {
		flat := [][]float32{b.Obs, b.Action, b.Next, b.Reward, b.Discount, b.Weight, noise}[i]
		if i != inNoise {
			width := shape.Size() / s.batch
			flat = flat[first*width : (first+s.batch)*width]
		}
		in[i] = tensors.FromFlatDataAndDimensions(flat, shape.Dimensions...)
	}
	u := s.updating[0]
	if (s.state.Updates+1)%uint64(s.cfg.PolicyDelay) == 0 {
		u = s.updating[1]
	}
	out, err := u.Call(in...)
	if err != nil {
		return fmt.Errorf("td3: update %d: %w", s.state.Updates, err)
	}
	figures := tensors.MustCopyFlatData[float32](out[2])
	if tensors.ToScalar[int32](out[0]) == 0 {
		return fmt.Errorf("td3: update %d was undone: %s", s.state.Updates, agents.NotFinite(u.figures, figures))
	}
	s.absError = append(s.absError, tensors.MustCopyFlatData[float32](out[1])...)
	for i, name := range u.figures {
		sums[name] += float64(figures[i])
		counts[name]++
	}
	for _, t := range out {
		t.FinalizeAll()
	}
	s.state.Updates++
	return nil
}

// AbsError is the critics' absolute error in each row of the last Update's batch.
func (s *Learner) AbsError() []float32 { return s.absError }

// Store holds the variables, including the optimisers'.
func (s *Learner) Store() *model.Store { return s.store }

// State is what must be saved besides the Store.
func (s *Learner) State() any { return &s.state }

// Weights are those of actor, critics and targets, by variable path.
func (s *Learner) Weights() iter.Seq2[string, *tensors.Tensor] {
	return func(yield func(string, *tensors.Tensor) bool) {
		for v := range s.store.IterVariables() {
			learned := v.Trainable || strings.HasPrefix(v.Path(), "/"+targetScope+"/")
			if learned && !yield(v.Path(), v.MustValue()) {
				return
			}
		}
	}
}

// Close frees the compiled graphs.
func (s *Learner) Close() {
	for _, exec := range []*model.Exec{s.acting, s.updating[0].Exec, s.updating[1].Exec} {
		if exec != nil {
			exec.Finalize()
		}
	}
}
