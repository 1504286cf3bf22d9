package sac

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

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
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/replay"
)

// A Learner is soft actor-critic (Haarnoja et al. 2018) with twin critics, for any
// policy. One goroutine uses it at a time. Acting is in act.go, the graphs of an update
// are in losses.go and update.go.
type Learner struct {
	cfg     Config
	spec    envbridge.Spec
	policy  policies.Policy
	seed    uint64
	backend compute.Backend
	use     agents.Use
	batch   int          // transitions per update
	fused   int          // updates in one call
	store   *model.Store // all variables
	packed  *nn.Packed   // their values; the store's are older, except after Unpack

	// Graphs of an update, of one without the policy, and of cycles of PolicyDelay updates.
	updating, criticising, cycling *nn.Program

	acting, greedy, judging *nn.Program
	figures                 []string // names of an update's figures, in order: the critics', then the policy's
	ofPolicy                int      // number of figures of the policy

	state      agents.Counters
	greedySeed uint64
	greedyActs uint64
	progress   *tensors.Tensor // float32 scalar
	absError   []float32
	action     []float32
}

var (
	_ agents.Learner   = (*Learner)(nil)
	_ agents.Answerer  = (*Learner)(nil)
	_ agents.Judge     = (*Learner)(nil)
	_ agents.Scheduled = (*Learner)(nil)
	_ agents.Reseeder  = (*Learner)(nil)
)

// New builds the learner for a task: it initialises the variables from the seed and
// compiles the graphs that the task's use needs, so that a bad graph fails here. The
// graph of an update takes the longest.
func New(cfg Config, t agents.Task) (*Learner, error) {
	if err := errors.Join(settings.Refuse(cfg.Validate()), t.Validate()); err != nil {
		return nil, fmt.Errorf("sac: %w", err)
	}
	if t.Policy == nil {
		return nil, errors.New("sac: no policy to train")
	}
	if c, ok := t.Policy.(policies.Checker); ok {
		if err := c.Check(cfg.Particles, t.Spec.ActDim); err != nil {
			return nil, settings.Refuse(fmt.Errorf("sac: policy for %d particles and %d action dimensions: %w", cfg.Particles, t.Spec.ActDim, err))
		}
	}
	if t.Use == agents.ToLearn && cfg.Critic.Norm == "batch" && t.Schedule.BatchSize < 2 {
		return nil, settings.Refuse(fmt.Errorf("sac: critic.norm batch with batch_size %d: batch normalisation needs at least 2 transitions", t.Schedule.BatchSize))
	}
	s := &Learner{
		cfg: cfg, spec: t.Spec, policy: t.Policy, seed: t.Seed, greedySeed: t.Seed, backend: t.Backend, use: t.Use,
		batch: t.Schedule.BatchSize, fused: t.Schedule.FusedUpdates,
		store: model.NewStore(), progress: tensors.FromScalar(float32(0)),
	}
	stages := []func() error{s.create, s.initialise}
	if !t.Use.Trains() {
		stages = slices.Insert(stages, 1, func() error { return nn.ForgetMoments(s.store) })
	}
	if t.Use == agents.ToPlay {
		stages = append(stages, s.keepPlayed)
	}
	stages = append(stages, s.pack)
	if t.Use.Acts() {
		stages = append(stages, s.compileActing)
	}
	if t.Use == agents.ToLearn {
		stages = append(stages, s.compile)
	}
	for _, stage := range stages {
		if err := stage(); err != nil {
			s.Close()
			return nil, fmt.Errorf("sac: soft actor-critic with policy %s: %w", policies.NameOf(t.Policy), err)
		}
	}
	return s, nil
}

// create creates and initialises the variables of all parts and of their optimisers.
func (s *Learner) create() error {
	return nn.Create(s.backend, s.store, s.seed, s.inputShapes(1, 1), func(scope *model.Scope, in []*Node) {
		in = s.split(in)
		b := minibatch{in[inObs], in[inAction], in[inNext], in[inReward], in[inDiscount], in[inWeight]}
		// Targets and averages need their sources first.
		if s.cfg.Tau != nil {
			s.critics(scope.At(targetScope)).Each(b.obs, InsertAxes(b.action, 1))
			nn.Freeze(scope.At(targetScope))
		}
		if s.cfg.CriticAverage > 0 {
			s.critics(scope.At(steadyScope)).Each(b.obs, InsertAxes(b.action, 1))
			nn.Freeze(scope.At(steadyScope))
		}
		key := random.NewKey(Reshape(in[inKeys], 3))
		if s.cfg.PolicyLoss == "start" { // the sampler's variables do not train, but exist
			s.policy.Sample(s.query(scope, policyScope, b.obs, key, in[inProgress]))
		}
		if s.cfg.PolicyAverage > 0 {
			s.policy.Sample(s.query(scope, averageScope, b.obs, key, in[inProgress]))
			nn.Freeze(scope.At(averageScope))
		}
		o := s.step(scope, b, key, in[inProgress], nil, true)
		s.figures = slices.Sorted(maps.Keys(o.critics))
		s.figures = append(s.figures, slices.Sorted(maps.Keys(o.policy))...)
		s.ofPolicy = len(o.policy)
	})
}

// initialise sets the variables outside networks, and those of the copies.
func (s *Learner) initialise() error {
	if err := s.logAlpha(s.store.RootScope()).SetValue(tensors.FromScalar(float32(math.Log(s.cfg.Alpha)))); err != nil {
		return err
	}
	for _, c := range s.copies() {
		if err := c.Reset(); err != nil {
			return err
		}
	}
	return nil
}

// compile builds the updates' graphs and compiles those that calls of s.fused updates
// need. With a PolicyDelay, whole cycles of it are one graph. If a call need not begin and
// end with a cycle, it is calls of the critics' updates, and of the policy's one by one.
func (s *Learner) compile() error {
	s.updating = s.packed.NewProgram(s.updateGraph)
	fused, delay := s.fused, s.cfg.PolicyDelay
	if !s.loops() {
		fused = 1
	}
	if delay == 1 {
		return s.updating.Compile(s.inputShapes(fused, s.batch)...)
	}
	s.criticising, s.cycling = s.packed.NewProgram(s.criticGraph), s.packed.NewProgram(s.cycleGraph)
	if s.inCycles() {
		return s.cycling.Compile(s.inputShapes(fused, s.batch)...)
	}
	for n := 1; n <= min(fused, delay-1); n++ {
		if err := s.criticising.Compile(s.inputShapes(n, s.batch)...); err != nil {
			return err
		}
	}
	return s.updating.Compile(s.inputShapes(1, s.batch)...)
}

// inCycles reports whether the fused updates of a call are whole cycles of PolicyDelay.
func (s *Learner) inCycles() bool { return s.loops() && s.cfg.InCycles(s.fused) }

// pack prepares the graphs' use of the variables, which all exist by now.
func (s *Learner) pack() error {
	s.packed = nn.Pack(s.backend, s.store)
	s.acting, s.greedy = s.packed.NewProgram(s.actGraph), s.packed.NewProgram(s.greedyGraph)
	s.judging = s.packed.NewProgram(s.portraitGraph)
	return nil
}

// inputShapes are the shapes of updateGraph's inputs, for k minibatches of b.
func (s *Learner) inputShapes(k, b int) []shapes.Shape {
	all := make([]shapes.Shape, inCount)
	all[inProgress] = shapes.Make(dtypes.Float32)
	all[inKeys] = shapes.Make(dtypes.Uint64, k, 3)
	all[inColumns] = shapes.Make(dtypes.Float32, k*b*s.rowSize())
	return all
}

// logAlpha is the variable log α, a scalar.
func (s *Learner) logAlpha(scope *model.Scope) *model.Variable {
	return scope.At(alphaScope).VariableWithValue("log_alpha", float32(0)).SetTrainable(s.cfg.AutoAlpha)
}

// targetEntropy is the entropy, in nats, that α is tuned to keep.
func (s *Learner) targetEntropy() float64 {
	if s.cfg.TargetEntropy != nil {
		return *s.cfg.TargetEntropy
	}
	return -float64(s.spec.ActDim)
}

// Update makes one update per minibatch in b, in few calls of the engine. It stops at an
// update that is not finite, names the figure in the error, and leaves the learner as it
// was before that update.
func (s *Learner) Update(b *replay.Batch) (agents.Metrics, error) {
	if s.updating == nil {
		return nil, errors.New("sac: this learner was built only to act and cannot be updated")
	}
	k := b.N / s.batch
	if k == 0 || k*s.batch != b.N {
		return nil, fmt.Errorf("sac: got %d transitions, not a multiple of the minibatch size %d", b.N, s.batch)
	}
	s.absError = sized(s.absError, b.N)
	sums := make([]float64, len(s.figures))
	each := k
	if !s.loops() {
		each = 1
	}
	for first := 0; first < k; {
		n, graph := s.together(k-first, each)
		if err := s.call(graph, b, first, n, sums); err != nil {
			return nil, err
		}
		first += n
	}
	m := agents.Metrics{"train/n_updates": float64(s.state.Updates), "train/learning_rate": s.cfg.ActorLR * s.rateNow()}
	policies := s.policyUpdates(s.state.Updates-uint64(k), s.state.Updates)
	for i, name := range s.figures {
		switch {
		case i < len(s.figures)-s.ofPolicy:
			m[name] = sums[i] / float64(k)
		case policies > 0:
			m[name] = sums[i] / float64(policies)
		}
	}
	return m, nil
}

// loops reports whether the backend can make several updates in one call; the pure Go
// backend cannot.
func (s *Learner) loops() bool {
	return s.backend.Capabilities().Operations[compute.OpTypeDynamicSlice]
}

// policyUpdates is how many of the updates numbered from+1 to to also update the policy.
func (s *Learner) policyUpdates(from, to uint64) uint64 {
	d := uint64(s.cfg.PolicyDelay)
	return to/d - from/d
}

// together returns how many of the next updates, at most left and at most most, one call
// makes, and by which graph: whole cycles of PolicyDelay if calls consist of them, otherwise
// those of the critics alone that come before the next one of the policy, or that one.
func (s *Learner) together(left, most int) (n int, graph *nn.Program) {
	delay := s.cfg.PolicyDelay
	if delay == 1 {
		return min(left, most), s.updating
	}
	alone := delay - 1 - int(s.state.Updates%uint64(delay))
	switch n = min(left, most); {
	case alone == 0:
		return 1, s.updating
	case alone == delay-1 && n >= delay && s.inCycles():
		return n - n%delay, s.cycling
	}
	return min(alone, n), s.criticising
}

// call makes n updates in one call of a graph, from minibatch first of b, and adds their
// figures to sums.
func (s *Learner) call(graph *nn.Program, b *replay.Batch, first, n int, sums []float64) error {
	keys := make([]uint64, 0, 3*n)
	for i := range uint64(n) {
		one := random.KeyOf(s.seed, updateStream, s.state.Updates+i)
		keys = append(keys, one[:]...)
	}
	from, to := first*s.batch, (first+n)*s.batch
	columns := make([]float32, 0, (to-from)*s.rowSize())
	for _, x := range [][]float32{b.Obs, b.Action, b.Next, b.Reward, b.Discount, b.Weight} {
		width := len(x) / b.N
		columns = append(columns, x[from*width:to*width]...)
	}
	in := make([]*tensors.Tensor, inCount)
	in[inProgress] = s.progress
	in[inKeys] = tensors.FromFlatDataAndDimensions(keys, n, 3)
	in[inColumns] = tensors.FromFlatDataAndDimensions(columns, len(columns))
	out, err := graph.Call(in...)
	if err != nil {
		return fmt.Errorf("sac: update %d: %w", s.state.Updates, err)
	}
	defer func() { // sooner than the garbage collector would
		for _, t := range append(out, in[inKeys:]...) {
			t.FinalizeAll()
		}
	}()
	done := tensors.ToScalar[int32](out[0])
	figures := tensors.MustCopyFlatData[float32](out[1])
	if err := tensors.ConstFlatData(out[2], func(flat []float32) { copy(s.absError[from:], flat) }); err != nil {
		return fmt.Errorf("sac: update %d: %w", s.state.Updates, err)
	}
	s.state.Updates += uint64(done)
	if int(done) < n {
		return fmt.Errorf("sac: update %d was undone: %s", s.state.Updates, agents.NotFinite(s.figures, figures))
	}
	for i, x := range figures {
		sums[i] += float64(x)
	}
	return nil
}

// AbsError is the critics' absolute error in each row of the last Update's batch, for a
// replay.Prioritizer. It is valid until the next Update.
func (s *Learner) AbsError() []float32 { return s.absError }

// rateNow is the schedule's current factor on every learning rate; see rateShare.
func (s *Learner) rateNow() float64 {
	if s.cfg.LRSchedule == "linear" {
		return 1 - float64(tensors.ToScalar[float32](s.progress))
	}
	return 1
}

// SetProgress sets the fraction of training completed, in [0, 1].
func (s *Learner) SetProgress(share float64) { s.progress = tensors.FromScalar(float32(share)) }

// SeedGreedy resets the random numbers of greedy actions.
func (s *Learner) SeedGreedy(seed uint64) { s.greedySeed, s.greedyActs = seed, 0 }

// Store holds the learner's variables, including the optimisers'. Resuming needs it and
// State. Its values are current, and may be changed, until the next call of the learner.
func (s *Learner) Store() *model.Store {
	if err := s.packed.Unpack(); err != nil {
		panic(err) // out of memory: numbers are copied
	}
	return s.store
}

// State is what must be saved besides the Store.
func (s *Learner) State() any { return &s.state }

// Particles is the number of actions drawn per state.
func (s *Learner) Particles() int { return s.cfg.Particles }

// Close frees the compiled graphs.
func (s *Learner) Close() {
	for _, program := range []*nn.Program{s.updating, s.criticising, s.cycling, s.acting, s.greedy, s.judging} {
		if program != nil {
			program.Finalize()
		}
	}
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
