package ebm

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/nn/flows"
	"github.com/stein-rl/stein/random"
)

// Model is an energy and its sampler. It is not safe for concurrent use. The graphs are
// in update.go and draw.go.
type Model struct {
	cfg     Config
	shape   Shape
	seed    uint64
	backend compute.Backend
	store   *model.Store // all variables
	chains  *chains

	updating *model.Exec
	drawings map[drawing]*model.Exec
	energies *model.Exec
	figures  []string // names of an update's figures, in order

	state    State
	progress float32
}

// State is a model's state besides its variables and chains.
type State struct {
	Updates  uint64 `json:"updates"`
	Prepared bool   `json:"prepared"` // the initial distribution was initialised from images
}

// A Divergence ends a training without being a failure: the training cannot continue.
type Divergence struct {
	Update int64  `json:"update"`
	Cause  string `json:"cause"`
}

func (d *Divergence) Error() string {
	return fmt.Sprintf("ebm: diverged in update %d: %s", d.Update, d.Cause)
}

// Streams of random numbers: draws depend only on the seed and a count.
const (
	updateStream  = iota + 1
	chainStream   // which chains an update continues
	drawStream    // Draw
	pictureStream // which images an update uses
	placeStream   // groups of similar images
	restoreStream // Restore
)

// The scopes: one per trained part with its own optimiser, and one for the moving average
// of the energy's weights.
const (
	energyScope  = "energy"
	averageScope = "average"
	samplerScope = "sampler"
	initialScope = "initial" // below the sampler's
	movesScope   = "moves"   // below the sampler's: σ and ε
)

// New creates a model of images of a shape. It initialises the variables from seed and
// compiles the update, so that a bad graph fails here.
func New(backend compute.Backend, cfg Config, shape Shape, seed uint64) (*Model, error) {
	m, err := NewSampler(backend, cfg, shape, seed)
	if err != nil {
		return nil, err
	}
	if m.updating, err = model.NewExec(backend, m.store, m.updateGraph); err == nil {
		_, err = m.updating.Compile(m.inputShapes()...)
	}
	if err != nil {
		return nil, fmt.Errorf("ebm: compiling an update: %w", err)
	}
	return m, nil
}

// NewSampler is New for a model that only draws samples.
func NewSampler(backend compute.Backend, cfg Config, shape Shape, seed uint64) (*Model, error) {
	if err := cfg.Check(shape); err != nil {
		return nil, fmt.Errorf("ebm: %w", err)
	}
	m := &Model{
		cfg: cfg, shape: shape, seed: seed, backend: backend, store: model.NewStore(),
		chains: newChains(cfg.Chains, shape.Size()), drawings: map[drawing]*model.Exec{}, progress: 1,
	}
	err := nn.Create(backend, m.store, seed, m.inputShapes(), func(scope *model.Scope, in []*Node) {
		if m.contrastive() { // the average needs its sources first
			cfg.Energy.build(scope.At(averageScope), in[inData].Graph(), shape)
			nn.Freeze(scope.At(averageScope))
		}
		figures, _, _ := m.step(scope, in)
		m.figures = names(figures)
	})
	if err == nil {
		err = m.startAverage()
	}
	if err != nil {
		return nil, fmt.Errorf("ebm: creating the variables: %w", err)
	}
	return m, nil
}

func (m *Model) contrastive() bool { return m.cfg.Objective == "contrastive" }

// startAverage copies the energy's weights to their average.
func (m *Model) startAverage() error {
	for v := range m.store.Scope(averageScope).IterVariables() {
		value, err := m.store.GetVariable(averaged(v)).Value()
		if err != nil {
			return err
		}
		if value, err = value.LocalClone(); err != nil {
			return err
		}
		if err := v.SetValue(value); err != nil {
			return err
		}
	}
	return nil
}

// averaged is the path of the variable whose average is v.
func averaged(v *model.Variable) string {
	return model.JoinPath("/", energyScope, strings.TrimPrefix(v.Path(), "/"+averageScope))
}

// Prepare initialises the initial distribution from images [N, D]. It does nothing if
// that was already done, as in a restored model.
func (m *Model) Prepare(pictures []float32) error {
	if m.state.Prepared {
		return nil
	}
	scope := m.store.RootScope().At(samplerScope).At(initialScope)
	if err := m.cfg.Initial.place(scope, pictures, m.shape.Size(), random.Mix(m.seed, placeStream)); err != nil {
		return err
	}
	if m.cfg.Initial.Kind == "glow" {
		if err := m.prepareGlow(pictures); err != nil {
			return err
		}
	}
	m.state.Prepared = true
	return nil
}

// prepareGlow initialises the actnorms with a batch of images.
func (m *Model) prepareGlow(pictures []float32) error {
	exec, err := model.NewExec(m.backend, m.store, func(scope *model.Scope, x *Node) *Node {
		_, logDet := m.cfg.Initial.glow(m.shape).Initialise(scope.At(samplerScope).At(initialScope), x)
		return ReduceAllMean(logDet)
	})
	if err != nil {
		return fmt.Errorf("ebm: preparing Glow: %w", err)
	}
	defer exec.Finalize()
	n := min(m.cfg.BatchSize, len(pictures)/m.shape.Size())
	if _, err := exec.Call(m.pictures(pictures[:n*m.shape.Size()])); err != nil {
		return fmt.Errorf("ebm: preparing Glow: %w", err)
	}
	return nil
}

// pictures is x as [N, H, W, C].
func (m *Model) pictures(x []float32) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(x, len(x)/m.shape.Size(), m.shape.Height, m.shape.Width, m.shape.Channels)
}

// inputShapes are the shapes of an update's inputs.
func (m *Model) inputShapes() []shapes.Shape {
	all := make([]shapes.Shape, inCount)
	all[inProgress] = shapes.Make(dtypes.Float32)
	all[inKey] = RNGStateShape
	all[inData] = shapes.Make(dtypes.Float32, m.cfg.BatchSize, m.shape.Height, m.shape.Width, m.shape.Channels)
	return append(all[:inChains], m.chainShapes()...)
}

// chainShapes are the shapes of the continued chains, if there are any.
func (m *Model) chainShapes() []shapes.Shape {
	if m.cfg.Chains.Size == 0 {
		return nil
	}
	return []shapes.Shape{
		shapes.Make(dtypes.Float32, m.cfg.Particles, m.shape.Size()),
		shapes.Make(dtypes.Bool, m.cfg.Particles),
	}
}

// Update takes one gradient step of every part with images [BatchSize, D]. If a number is
// not finite, the error is a *Divergence and the variables are unchanged.
func (m *Model) Update(pictures []float32) (map[string]float64, error) {
	key := random.KeyOf(m.seed, updateStream, m.state.Updates)
	in := []any{m.progress, tensors.FromFlatDataAndDimensions(key[:], 3), m.pictures(pictures)}
	places, more := m.chainInputs(m.state.Updates)
	out, err := m.updating.Call(append(in, more...)...)
	if err != nil {
		return nil, fmt.Errorf("ebm: update %d: %w", m.state.Updates, err)
	}
	values := tensors.MustCopyFlatData[float32](out[1])
	if !tensors.ToScalar[bool](out[0]) {
		return nil, &Divergence{int64(m.state.Updates), m.notFinite(values)}
	}
	if places != nil {
		m.chains.put(places, tensors.MustCopyFlatData[float32](out[2]))
	}
	for _, x := range out {
		x.FinalizeAll()
	}
	m.state.Updates++
	figures := map[string]float64{}
	for i, name := range m.figures {
		figures[name] = float64(values[i])
	}
	if nats, ok := figures[likelihoodFigure]; ok {
		size := m.shape.Size()
		figures["train/bits_per_dim"] = flows.BitsPerDim(-nats*float64(size), size)
	}
	return figures, m.cfg.Diverged.check(int64(m.state.Updates), figures)
}

// chainInputs returns the inputs for continued chains, and the indices to store the
// results.
func (m *Model) chainInputs(count uint64) (places []int, in []any) {
	if m.cfg.Chains.Size == 0 {
		return nil, nil
	}
	places, x, fresh := m.chains.take(m.seed, count, m.cfg.Particles)
	return places, []any{
		tensors.FromFlatDataAndDimensions(x, m.cfg.Particles, m.shape.Size()),
		tensors.FromFlatDataAndDimensions(fresh, m.cfg.Particles),
	}
}

// notFinite describes what is not finite. If particles diverged, it reports only that.
func (m *Model) notFinite(values []float32) string {
	var all []string
	for i, x := range values {
		if m.figures[i] == lostFigure && x >= 0 {
			return fmt.Sprintf("a sample, its density or its score is not finite at step %g of the sampler", x)
		}
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			all = append(all, fmt.Sprintf("%s is %v", m.figures[i], x))
		}
	}
	return strings.Join(all, ", ")
}

// check reports figures beyond the limits.
func (l Limits) check(update int64, m map[string]float64) error {
	if spread := m[spreadFigure]; l.Spread > 0 && spread > l.Spread {
		return &Divergence{update, fmt.Sprintf("the samples left the range of images: their root mean square is %.3g, beyond %g", spread, l.Spread)}
	}
	if gap := m[gapFigure]; l.Gap > 0 && math.Abs(gap) > l.Gap {
		return &Divergence{update, fmt.Sprintf("f of data and samples are %.3g apart, beyond %g", gap, l.Gap)}
	}
	return nil
}

// SetProgress sets the fraction of training completed, in [0, 1].
func (m *Model) SetProgress(share float64) { m.progress = float32(share) }

// Shape is the shape of the images.
func (m *Model) Shape() Shape { return m.shape }

// BatchSize is the number of images per update.
func (m *Model) BatchSize() int { return m.cfg.BatchSize }

// Store holds the variables, including the optimisers'. Resuming needs it, State and the
// chains.
func (m *Model) Store() *model.Store { return m.store }

// State is what must be saved besides the Store.
func (m *Model) State() State { return m.state }

// SetState restores State; the caller restores the Store's values.
func (m *Model) SetState(s State) { m.state = s }

// HasChains reports whether there are chains to save.
func (m *Model) HasChains() bool { return m.cfg.Chains.Size > 0 }

// SaveChains writes the chains.
func (m *Model) SaveChains(w io.Writer) error { return m.chains.save(w) }

// LoadChains reads what SaveChains wrote.
func (m *Model) LoadChains(r io.Reader) error { return m.chains.load(r) }

// Close frees the compiled graphs.
func (m *Model) Close() {
	for _, exec := range append(slices.Collect(maps.Values(m.drawings)), m.updating, m.energies) {
		if exec != nil {
			exec.Finalize()
		}
	}
}
