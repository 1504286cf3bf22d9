package sac_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stein-rl/stein/agents/sac"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/replay"
)

const obsDim, actDim = 3, 2

// known is a policy of two particles whose numbers a test can work out: the first
// one is a = tanh(w·Σs), log π = Σa; the second one is dead and not a number.
type known struct{}

func (known) Sample(q policies.Query) policies.Draw {
	g := q.Obs.Graph()
	w := q.Scope.VariableWithValue("w", []float32{0.3, -0.2}).NodeValue(g)
	u := Mul(ReduceAndKeep(q.Obs, ReduceSum, -1), InsertAxes(w, 0)) // [B, A]
	first := InsertAxes(Tanh(u), 1)                                 // [B, 1, A]
	nan := Mul(StopGradient(first), Const(g, float32(math.NaN())))
	logProb := ReduceSum(first, -1) // [B, 1]
	return policies.Draw{
		Action:  Concatenate([]*Node{first, nan}, 1),
		LogProb: Concatenate([]*Node{logProb, ReduceSum(nan, -1)}, 1),
		Alive:   IsFinite(Concatenate([]*Node{logProb, ReduceSum(nan, -1)}, 1)),
		Stats:   map[string]*Node{"known": ReduceAllMean(w)},
	}
}

func tiny() settings {
	c := defaults()
	c.Critic = nn.Network{Hidden: []int{5, 4}, Activation: "tanh"}
	c.Particles, c.BatchSize, c.FusedUpdates = 2, 4, 1
	return c
}

func newSAC(t testing.TB, policy policies.Policy, cfg settings) *sac.Learner {
	t.Helper()
	return learner(t, cfg, cfg.task(t, policy, spec, 5))
}

// compiledSAC is newSAC on XLA, which alone makes several updates in one call.
func compiledSAC(t testing.TB, policy policies.Policy, cfg settings) *sac.Learner {
	t.Helper()
	return learner(t, cfg, cfg.compiled(t, policy, spec, 5))
}

var spec = envbridge.Spec{ID: "test", Copies: 1, ObsDim: obsDim, ActDim: actDim}

func learner(t testing.TB, cfg settings, task agents.Task) *sac.Learner {
	t.Helper()
	s, err := sac.New(cfg.Config, task)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func randomBatch(n, s, a int) *replay.Batch {
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64()) * 0.3
		}
		return x
	}
	b := &replay.Batch{
		N: n, Obs: draw(n * s), Action: draw(n * a), Reward: draw(n), Next: draw(n * s),
		Discount: make([]float32, n), Weight: make([]float32, n), Index: make([]int64, n),
	}
	for i := range n {
		b.Discount[i], b.Weight[i] = 0.99*float32(rng.IntN(2)), float32(0.5+rng.Float64())
	}
	return b
}

// weights reads a variable.
func weights(t testing.TB, s *sac.Learner, path string) []float32 {
	t.Helper()
	v := s.Store().GetVariable(path)
	if v == nil {
		t.Fatalf("no variable %s", path)
	}
	return tensors.MustCopyFlatData[float32](v.MustValue())
}

// layer is x·W + b in plain Go.
func layer(x, w, b []float64) []float64 {
	out := slices.Clone(b)
	for j := range out {
		for i := range x {
			out[j] += x[i] * w[i*len(out)+j]
		}
	}
	return out
}

func tanh(x []float64) []float64 {
	out := make([]float64, len(x))
	for i := range x {
		out[i] = math.Tanh(x[i])
	}
	return out
}

func wide(x []float32) []float64 {
	out := make([]float64, len(x))
	for i := range x {
		out[i] = float64(x[i])
	}
	return out
}

// valuesOf are those of the critics under scope, in plain Go.
func valuesOf(t testing.TB, s *sac.Learner, scope string, obs, action []float64) (each [2]float64) {
	for k := range each {
		at := func(name string) []float64 { return wide(weights(t, s, fmt.Sprintf("/%s/q%d/%s", scope, k, name))) }
		h := layer(obs, at("of_obs/weights"), at("of_obs/biases"))
		h = layer(action, at("of_action/weights"), h)
		h = layer(tanh(h), at("rest/hidden_0/weights"), at("rest/hidden_0/biases"))
		each[k] = layer(tanh(h), at("rest/out/weights"), at("rest/out/biases"))[0]
	}
	return each
}

// Ensure that losses, errors and the target's step are what the formulas say, with
// a discount, importance weights and a dead particle, whichever of the critics' values
// is believed, and that only the policy's variables follow the policy's loss.
func TestUpdateAgainstFormulas(t *testing.T) {
	for value, believed := range map[string]func(q [2]float64) float64{
		"min":  func(q [2]float64) float64 { return min(q[0], q[1]) },
		"mean": func(q [2]float64) float64 { return (q[0] + q[1]) / 2 },
	} {
		t.Run(value, func(t *testing.T) { updateAgainstFormulas(t, value, believed) })
	}
}

func updateAgainstFormulas(t *testing.T, value string, believed func(q [2]float64) float64) {
	cfg := tiny()
	tau := 0.25
	cfg.AutoAlpha, cfg.Alpha, cfg.Tau, cfg.Value = false, 0.3, &tau, value
	s := newSAC(t, known{}, cfg)
	b := randomBatch(cfg.BatchSize, obsDim, actDim)
	w := wide(weights(t, s, "/policy/w"))
	choose := func(obs []float64) (action []float64, logProb float64) {
		sum := obs[0] + obs[1] + obs[2]
		action = tanh([]float64{w[0] * sum, w[1] * sum})
		return action, action[0] + action[1]
	}
	var criticLoss float64
	var errors []float64
	for i := range b.N {
		obs, next, action := wide(b.Obs[3*i:3*i+3]), wide(b.Next[3*i:3*i+3]), wide(b.Action[2*i:2*i+2])
		a, logProb := choose(next)
		ahead := believed(valuesOf(t, s, "target", next, a))
		y := float64(b.Reward[i]) + float64(b.Discount[i])*(ahead-0.3*logProb)
		q := valuesOf(t, s, "critic", obs, action)
		e0, e1 := q[0]-y, q[1]-y
		criticLoss += float64(b.Weight[i]) * (e0*e0 + e1*e1) / 2 / float64(b.N)
		errors = append(errors, (math.Abs(e0)+math.Abs(e1))/2)
	}
	const path = "q1/rest/hidden_0/weights"
	criticBefore, targetBefore := weights(t, s, "/critic/"+path), weights(t, s, "/target/"+path)
	if !slices.Equal(criticBefore, targetBefore) {
		t.Error("the target does not start as the critic")
	}

	m, err := s.Update(b)
	if err != nil {
		t.Fatal(err)
	}
	// The policy is judged by the critics as this update has left them, as in the
	// implementations that SAC's published figures come from.
	var actorLoss, entropy float64
	for i := range b.N {
		obs := wide(b.Obs[3*i : 3*i+3])
		a, logProb := choose(obs)
		actorLoss += (0.3*logProb - believed(valuesOf(t, s, "critic", obs, a))) / float64(b.N)
		entropy -= logProb / float64(b.N)
	}
	for name, want := range map[string]float64{
		"train/critic_loss": criticLoss, "train/actor_loss": actorLoss, "train/entropy": entropy,
		"train/ent_coef": 0.3, "policy/known": 0.05, "train/n_updates": 1,
	} {
		if got := m[name]; math.Abs(got-want) > 1e-5 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for i, got := range s.AbsError() {
		if math.Abs(float64(got)-errors[i]) > 1e-5 {
			t.Errorf("error of row %d is %v, want %v", i, got, errors[i])
		}
	}
	critic, target := weights(t, s, "/critic/"+path), weights(t, s, "/target/"+path)
	for i := range target {
		if want := targetBefore[i] + 0.25*(critic[i]-targetBefore[i]); math.Abs(float64(target[i]-want)) > 1e-6 {
			t.Fatalf("target %d is %v, want %v", i, target[i], want)
		}
		// Adam's first step is the learning rate, whatever the gradient.
		if step := math.Abs(float64(critic[i] - criticBefore[i])); math.Abs(step-cfg.CriticLR) > 0.01*cfg.CriticLR {
			t.Errorf("critic %d moved by %v, want %v", i, step, cfg.CriticLR)
		}
	}
	if a := weights(t, s, "/alpha/log_alpha"); math.Abs(float64(a[0])-math.Log(0.3)) > 1e-6 {
		t.Errorf("a fixed temperature moved: log α %v", a)
	}
}

// Ensure that the temperature follows PyTorch's Adam step by step, down the slope
// (entropy − target) of its loss in log α.
func TestTemperature(t *testing.T) {
	cfg := tiny()
	target := -0.5
	cfg.TargetEntropy, cfg.AlphaLR, cfg.Alpha = &target, 0.01, 0.7
	s := newSAC(t, known{}, cfg)
	b := randomBatch(cfg.BatchSize, obsDim, actDim)
	x, m, v := math.Log(0.7), 0.0, 0.0
	for i := 1; i <= 12; i++ {
		got, err := s.Update(b)
		if err != nil {
			t.Fatal(err)
		}
		slope := got["train/entropy"] - target
		if want := x * slope; math.Abs(got["train/ent_coef_loss"]-want) > 1e-5 {
			t.Errorf("update %d: loss %v, want %v", i, got["train/ent_coef_loss"], want)
		}
		m, v = 0.9*m+0.1*slope, 0.999*v+0.001*slope*slope
		root := math.Sqrt(v)/math.Sqrt(1-math.Pow(0.999, float64(i))) + 1e-8
		x -= 0.01 / (1 - math.Pow(0.9, float64(i))) * m / root
		if got := float64(weights(t, s, "/alpha/log_alpha")[0]); math.Abs(got-x) > 2e-5 {
			t.Fatalf("update %d: log α %v, want %v", i, got, x)
		}
	}
}

// Ensure that gradients are clipped: Adam's first step does not depend on their size, so
// it stays as it is; its second one weighs both gradients, and changes.
func TestGradClip(t *testing.T) {
	free, clipped := tiny(), tiny()
	clipped.GradClip = 0.05
	a, b := newSAC(t, gaussian(8), free), newSAC(t, gaussian(8), clipped)
	apart := func() (most float64) {
		for v := range a.Store().IterVariables() {
			if !strings.HasPrefix(v.Path(), "/critic/") || !v.DType().IsFloat() || !v.Trainable {
				continue
			}
			x, y := weights(t, a, v.Path()), weights(t, b, v.Path())
			for i := range x {
				most = max(most, math.Abs(float64(x[i]-y[i])))
			}
		}
		return most
	}
	for i, within := range [][2]float64{{0, 2e-6}, {1e-5, 1e-3}} {
		batch := randomBatch(free.BatchSize, obsDim, actDim)
		for k := range batch.Reward {
			batch.Reward[k] *= float32(1 + 20*i) // gradients of another size
		}
		for _, s := range []*sac.Learner{a, b} {
			if _, err := s.Update(batch); err != nil {
				t.Fatal(err)
			}
		}
		if got := apart(); !(got >= within[0] && got <= within[1]) {
			t.Errorf("update %d: critics with and without clipping differ by %g, want %g to %g", i+1, got, within[0], within[1])
		}
	}
}

// Ensure that K updates in one call are K updates: with clipping, with a delayed policy
// and in a cycle of it, and with running statistics and averages, which are carried from
// one to the next.
func TestFusedUpdates(t *testing.T) {
	for name, set := range map[string]func(*sac.Config, *policies.Gaussian){
		"clipped": func(c *sac.Config, _ *policies.Gaussian) { c.GradClip = 0.1 },
		"delayed": func(c *sac.Config, p *policies.Gaussian) {
			c.PolicyDelay, c.Tau, c.Critic.Norm, p.Norm, c.PolicyAverage, c.CriticAverage = 2, nil, "batch", "batch", 0.5, 0.5
		},
		"cycle": func(c *sac.Config, p *policies.Gaussian) {
			c.PolicyDelay, c.Tau, c.Critic.Norm, p.Norm, c.PolicyAverage, c.CriticAverage = 3, nil, "batch", "batch", 0.5, 0.5
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, gauss := tiny(), policies.NewGaussian()
			gauss.Hidden = []int{8}
			set(&cfg.Config, &gauss)
			fusedUpdates(t, cfg, gauss)
		})
	}
}

func fusedUpdates(t *testing.T, cfg settings, gauss policies.Policy) {
	apart := compiledSAC(t, gauss, cfg)
	cfg.FusedUpdates = 3
	fused := compiledSAC(t, gauss, cfg)
	b := randomBatch(3*cfg.BatchSize, obsDim, actDim)
	var errors []float32
	for k := range 3 {
		if _, err := apart.Update(part(b, k, cfg.BatchSize)); err != nil {
			t.Fatal(err)
		}
		errors = append(errors, apart.AbsError()...)
	}
	if _, err := fused.Update(b); err != nil {
		t.Fatal(err)
	}
	for v := range apart.Store().IterVariables() {
		if v.DType().IsFloat() {
			x, y := weights(t, apart, v.Path()), weights(t, fused, v.Path())
			for i := range x {
				if math.Abs(float64(x[i]-y[i])) > 1e-5 {
					t.Fatalf("%s: %v apart, %v fused", v.Path(), x[i], y[i])
				}
			}
		}
	}
	for i, x := range fused.AbsError() {
		if math.Abs(float64(x-errors[i])) > 1e-5 {
			t.Errorf("error of row %d: %v apart, %v fused", i, errors[i], x)
		}
	}
	if counted(apart) != counted(fused) || counted(fused).Updates != 3 {
		t.Errorf("%+v and %+v", counted(apart), counted(fused))
	}
}

// part is the k-th minibatch of n rows.
func part(b *replay.Batch, k, n int) *replay.Batch {
	cut := func(x []float32) []float32 { w := len(x) / b.N; return x[k*n*w : (k+1)*n*w] }
	return &replay.Batch{
		N: n, Obs: cut(b.Obs), Action: cut(b.Action), Next: cut(b.Next),
		Reward: cut(b.Reward), Discount: cut(b.Discount), Weight: cut(b.Weight),
	}
}

// Ensure that an update that is not finite is undone, named, and stops those after
// it: what is left is the learner before it. Three updates are a cycle of PolicyDelay, too.
func TestNotFiniteIsUndone(t *testing.T) {
	for _, delay := range []int{1, 3} {
		t.Run(fmt.Sprintf("delay %d", delay), func(t *testing.T) { notFiniteIsUndone(t, delay) })
	}
}

func notFiniteIsUndone(t *testing.T, delay int) {
	cfg := tiny()
	cfg.FusedUpdates, cfg.PolicyDelay = 3, delay
	s := compiledSAC(t, gaussian(8), cfg)
	good := randomBatch(3*cfg.BatchSize, obsDim, actDim)
	if _, err := s.Update(good); err != nil {
		t.Fatal(err)
	}
	before, updates := values(t, s.Store()), counted(s).Updates
	bad := randomBatch(3*cfg.BatchSize, obsDim, actDim)
	bad.Reward[1] = float32(math.NaN())
	_, err := s.Update(bad)
	if err == nil || !strings.Contains(err.Error(), "train/critic_loss is NaN") || !strings.Contains(err.Error(), "update 3") {
		t.Errorf("error %v", err)
	}
	if counted(s).Updates != updates {
		t.Errorf("%d updates, %d before", counted(s).Updates, updates)
	}
	for path, x := range values(t, s.Store()) {
		if x != before[path] {
			t.Errorf("%s changed", path)
		}
	}

	// In the third minibatch: two updates are done, as if they had come alone.
	bad = randomBatch(3*cfg.BatchSize, obsDim, actDim)
	bad.Next[2*cfg.BatchSize*obsDim] = float32(math.Inf(1))
	if _, err = s.Update(bad); err == nil {
		t.Fatal("no error")
	}
	if counted(s).Updates != updates+2 {
		t.Errorf("%d updates, want 2 more than %d", counted(s).Updates, updates)
	}
	for v := range s.Store().IterVariables() {
		if v.DType().IsFloat() {
			for i, x := range weights(t, s, v.Path()) {
				if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
					t.Fatalf("%s[%d] is %v", v.Path(), i, x)
				}
			}
		}
	}
	if _, err := s.Update(good); err != nil {
		t.Errorf("the learner does not go on: %v", err)
	}
}

// Ensure that acting draws anew each time from a stream that starts again with the
// learner, that greedy actions don't disturb it, and that both stay in the box.
func TestAct(t *testing.T) {
	cfg := tiny()
	a, b := newSAC(t, gaussian(8), cfg), newSAC(t, gaussian(8), cfg)
	obs := randomBatch(4, obsDim, actDim).Obs
	act := func(s *sac.Learner, greedy bool) []float32 {
		x, err := s.Act(obs, greedy)
		if err != nil {
			t.Fatal(err)
		}
		if len(x) != 4*actDim {
			t.Fatalf("%d numbers for 4 actions", len(x))
		}
		for _, v := range x {
			if !(v >= -1 && v <= 1) {
				t.Fatalf("action %v", v)
			}
		}
		return slices.Clone(x)
	}
	first := act(a, false)
	best := act(a, true)
	second := act(a, false)
	if slices.Equal(first, second) {
		t.Error("the same draw twice")
	}
	if !slices.Equal(first, act(b, false)) || !slices.Equal(second, act(b, false)) {
		t.Error("draws don't follow from the seed and their number")
	}
	if !slices.Equal(best, act(b, true)) {
		t.Error("greedy actions differ")
	}
	if _, err := a.Act(obs[:4], false); err == nil {
		t.Error("half an observation was taken")
	}
}

// crowd is a policy of three particles: −0.5, one that is dead and not a number, 0.5.
type crowd struct{}

func (crowd) Sample(q policies.Query) policies.Draw {
	g, n := q.Obs.Graph(), q.Obs.Shape().Dim(0)
	w := q.Scope.VariableWithValue("w", []float32{-0.5, float32(math.NaN()), 0.5}).NodeValue(g)
	action := BroadcastToDims(Reshape(w, 1, 3, 1), n, 3, actDim)
	logProb := BroadcastToDims(Reshape(w, 1, 3), n, 3)
	return policies.Draw{Action: action, LogProb: logProb, Alive: IsFinite(logProb)}
}

// Ensure that the dead particle is never taken, and the living ones each in about half
// of the states.
func TestActTakesLivingParticles(t *testing.T) {
	s := newSAC(t, crowd{}, tiny())
	const calls, rows = 20, 16
	taken := map[float32]int{}
	for range calls {
		action, err := s.Act(make([]float32, rows*obsDim), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range action {
			taken[x]++
		}
	}
	const all = calls * rows * actDim
	if low := taken[-0.5]; low+taken[0.5] != all || low < all/3 || low > all*2/3 {
		t.Errorf("of %d numbers: %v, want −0.5 and 0.5 about equally often", all, taken)
	}
}

// Ensure that settings and policies that can't work are errors before anything runs.
func TestNewErrors(t *testing.T) {
	spec := envbridge.Spec{ID: "test", Copies: 1, ObsDim: obsDim, ActDim: actDim}
	cfg := tiny()
	cfg.Critic.Hidden = nil
	if _, err := sac.New(cfg.Config, cfg.task(t, known{}, spec, 1)); err == nil || !strings.Contains(err.Error(), "critic") {
		t.Errorf("no hidden layers: error %v", err)
	}
	if _, err := sac.New(tiny().Config, tiny().task(t, crooked{}, spec, 1)); err == nil || !strings.Contains(err.Error(), "crooked") {
		t.Errorf("a policy that can't be built: error %v", err)
	}
}

// Ensure that settings for moved particles are refused for a policy that moves none, by
// the setting's name.
func TestCheck(t *testing.T) {
	for name, set := range map[string]func(*sac.Config){
		"agent.target start":         func(c *sac.Config) { c.Target = "start" },
		"agent.policy_loss split":    func(c *sac.Config) { c.PolicyLoss = "split" },
		"agent.critic_average 0.999": func(c *sac.Config) { c.CriticAverage = 0.999 },
	} {
		c := sac.Defaults()
		if err := c.Check(policies.NewGaussian()); err != nil {
			t.Errorf("without %s: %v", name, err)
		}
		set(&c)
		if err := c.Check(policies.NewGaussian()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
		c.Particles = 2
		if err := c.Check(policies.NewStein()); err != nil {
			t.Errorf("%s with particles: %v", name, err)
		}
	}
}

type crooked struct{}

func (crooked) Sample(q policies.Query) policies.Draw {
	return policies.Draw{Action: Dot(q.Obs, q.Obs).Product(), LogProb: q.Obs}
}

// Adam's first step has the size of its rate, in every weight that has a gradient: the
// schedule's share of it, and the settings' where a learner goes on from another's
// variables.
func TestLearningRateFollowsItsSchedule(t *testing.T) {
	for _, c := range []struct {
		schedule string
		progress float64
		share    float64
	}{{"constant", 0.75, 1}, {"linear", 0, 1}, {"linear", 0.75, 0.25}, {"linear", 1, 0}} {
		t.Run(fmt.Sprintf("%s at %g", c.schedule, c.progress), func(t *testing.T) {
			cfg := tiny()
			cfg.LRSchedule, cfg.ActorLR, cfg.CriticLR = c.schedule, 0.01, 0.02
			s := newSAC(t, known{}, cfg)
			s.SetProgress(c.progress)
			before := map[string]float32{}
			rates := map[string]float64{"/critic/q0/rest/out/biases": 0.02, "/policy/w": 0.01}
			for path := range rates {
				before[path] = weights(t, s, path)[0]
			}
			m, err := s.Update(randomBatch(cfg.BatchSize, obsDim, actDim))
			if err != nil {
				t.Fatal(err)
			}
			for path, rate := range rates {
				moved, want := math.Abs(float64(weights(t, s, path)[0]-before[path])), rate*c.share
				if math.Abs(moved-want) > 1e-5 {
					t.Errorf("%s moved by %g, want %g", path, moved, want)
				}
			}
			if got, want := m["train/learning_rate"], 0.01*c.share; math.Abs(got-want) > 1e-9 {
				t.Errorf("recorded learning rate %g, want %g", got, want)
			}
		})
	}
}

// A run that goes on learns at the rate of its settings, not at that of its checkpoint.
func TestLearningRateIsTheSettings(t *testing.T) {
	cfg := tiny()
	cfg.ActorLR = 0.01
	old := newSAC(t, known{}, cfg)
	batch := randomBatch(cfg.BatchSize, obsDim, actDim)
	if _, err := old.Update(batch); err != nil {
		t.Fatal(err)
	}
	cfg.ActorLR = 0
	s := newSAC(t, known{}, cfg)
	if err := agents.Adopt(s, old.Store()); err != nil {
		t.Fatal(err)
	}
	before := weights(t, s, "/policy/w")
	if _, err := s.Update(batch); err != nil {
		t.Fatal(err)
	}
	if after := weights(t, s, "/policy/w"); !slices.Equal(before, after) {
		t.Errorf("actor_lr 0 moved the policy from %v to %v", before, after)
	}
}
