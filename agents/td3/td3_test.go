package td3

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/replay"
)

// golden is what bench/td3_golden.py had Stable-Baselines3 do.
type golden struct {
	Observations, Actions, Next, Noise [][][]float32 // [update, row, number]
	Rewards, Dones                     [][]float32   // [update, row]
	CriticLoss                         []float64     `json:"critic_loss"`
	ActorLoss                          []*float64    `json:"actor_loss"`
	Weights                            map[string]map[string]any
}

// numbers lays nested lists flat.
func numbers(x any) (flat []float32) {
	if list, ok := x.([]any); ok {
		for _, y := range list {
			flat = append(flat, numbers(y)...)
		}
		return flat
	}
	return []float32{float32(x.(float64))}
}

func tiny(hidden ...int) Config {
	c := Defaults()
	c.Actor.Hidden, c.Critic.Hidden = hidden, hidden
	return c
}

func newTD3(t testing.TB, backend compute.Backend, cfg Config, obsDim, actDim, batch int) *Learner {
	t.Helper()
	s, err := New(cfg, agents.Task{
		Backend: backend, Spec: envbridge.Spec{ID: "test", Copies: 1, ObsDim: obsDim, ActDim: actDim},
		Schedule: agents.Schedule{BatchSize: batch, FusedUpdates: 1}, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Ensure that losses and weights are those of Stable-Baselines3's TD3 after 1, 2 and 10
// updates from the same weights, minibatches and noise.
func TestTD3AgainstStableBaselines3(t *testing.T) {
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	s := newTD3(t, enginetest.Backend(t), tiny(16, 16), 3, 2, 8)
	for path, values := range g.Weights["0"] {
		v := s.store.GetVariable(path)
		if v == nil {
			t.Fatalf("no variable %s", path)
		}
		if err := v.SetValue(tensors.FromFlatDataAndDimensions(numbers(values), v.Shape().Dimensions...)); err != nil {
			t.Fatal(err)
		}
	}
	compared := 0
	for i := range g.Rewards {
		b := replay.Batch{
			N: 8, Obs: slices.Concat(g.Observations[i]...), Action: slices.Concat(g.Actions[i]...), Next: slices.Concat(g.Next[i]...),
			Reward: g.Rewards[i], Discount: make([]float32, 8), Weight: slices.Repeat([]float32{1}, 8),
		}
		for j, done := range g.Dones[i] {
			b.Discount[j] = float32(s.cfg.Gamma) * (1 - done)
		}
		sums, counts := map[string]float64{}, map[string]float64{}
		if err := s.update(&b, 0, slices.Concat(g.Noise[i]...), sums, counts); err != nil {
			t.Fatal(err)
		}
		if math.Abs(sums["train/critic_loss"]-g.CriticLoss[i]) > 1e-5 {
			t.Errorf("update %d: critic's loss %g, want %g", i+1, sums["train/critic_loss"], g.CriticLoss[i])
		}
		if want := g.ActorLoss[i]; (want != nil) != (counts["train/actor_loss"] == 1) || want != nil && math.Abs(sums["train/actor_loss"]-*want) > 1e-5 {
			t.Errorf("update %d: actor's loss %v", i+1, sums["train/actor_loss"])
		}
		for path, values := range g.Weights[fmt.Sprint(i+1)] {
			got, compared := tensors.MustCopyFlatData[float32](s.store.GetVariable(path).MustValue()), compared
			for j, want := range numbers(values) {
				if math.Abs(float64(got[j]-want)) > 2e-5 {
					t.Fatalf("after %d updates: %s[%d] is %g, want %g (%d compared)", i+1, path, j, got[j], want, compared)
				}
			}
		}
		compared += len(g.Weights[fmt.Sprint(i+1)])
	}
	if compared != 3*36 {
		t.Errorf("%d variables were compared", compared)
	}
}

// aBatch is of a made-up problem: the reward is high where the action is the first
// number of the observation.
func aBatch(n int) *replay.Batch {
	z := normals(1, 9, 0, 5*n)
	b := &replay.Batch{N: n, Obs: z[:3*n], Next: z[:3*n], Action: z[3*n:], Reward: make([]float32, n), Discount: make([]float32, n), Weight: slices.Repeat([]float32{1}, n)}
	for i := range n {
		miss := b.Action[2*i] - b.Obs[3*i]
		b.Reward[i] = -miss * miss
	}
	return b
}

// Ensure that acting explores by noise that follows from seed and count, that greedy
// actions have none, and that an oracle answers with these and with their values.
func TestAct(t *testing.T) {
	one, two := newTD3(t, enginetest.PureGo(t), tiny(8), 3, 2, 4), newTD3(t, enginetest.PureGo(t), tiny(8), 3, 2, 4)
	obs := []float32{1, -1, 0.5, 0, 2, 0}
	act := func(s *Learner, greedy bool) []float32 {
		a, err := s.Act(obs, greedy)
		if err != nil || len(a) != 4 {
			t.Fatal(a, err)
		}
		return slices.Clone(a)
	}
	best, first, second := act(one, true), act(one, false), act(one, false)
	if slices.Equal(first, second) || slices.Equal(best, first) {
		t.Error("no noise, or the same again")
	}
	if !slices.Equal(first, act(two, false)) || !slices.Equal(best, act(two, true)) || !slices.Equal(second, act(two, false)) {
		t.Error("what is done does not follow from seed and count")
	}
	o, err := one.Oracle([]int{1})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	a, err := o.Ask(obs, false, 1, 1)
	if err != nil || !slices.EqualFunc(a.Action, best, func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-5 }) || len(a.Value) != 2 || a.LogProb != nil {
		t.Errorf("%+v, %v; want %v", a, err, best)
	}
}

// Ensure that an update that is not finite is undone and named, and that the learner
// goes on.
func TestNotFiniteIsUndone(t *testing.T) {
	s := newTD3(t, enginetest.PureGo(t), tiny(8), 3, 2, 4)
	if _, err := s.Update(aBatch(8)); err != nil {
		t.Fatal(err)
	}
	if len(s.AbsError()) != 8 || s.state.Updates != 2 {
		t.Errorf("%d errors, %+v", len(s.AbsError()), s.state)
	}
	before := tensors.MustCopyFlatData[float32](s.store.GetVariable("/actor/out/weights").MustValue())
	bad := aBatch(8)
	bad.Reward[1] = float32(math.NaN())
	if _, err := s.Update(bad); err == nil || !strings.Contains(err.Error(), "update 2") || !strings.Contains(err.Error(), "critic_loss") {
		t.Errorf("error %v", err)
	}
	if after := tensors.MustCopyFlatData[float32](s.store.GetVariable("/actor/out/weights").MustValue()); !slices.Equal(before, after) || s.state.Updates != 2 {
		t.Errorf("%v became %v, %+v", before, after, s.state)
	}
	if _, err := s.Update(aBatch(8)); err != nil {
		t.Error(err)
	}
}

// Ensure that settings that can't work are refused by name.
func TestErrors(t *testing.T) {
	c := tiny(8)
	c.Critic.Norm, c.Actor.Hidden = "batch", nil
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "actor: hidden") || !strings.Contains(err.Error(), "critic.norm") {
		t.Errorf("error %v", err)
	}
	if err := tiny(8).Check(policies.NewGaussian()); err == nil || !strings.Contains(err.Error(), "policy: null") {
		t.Errorf("error %v", err)
	}
	if gamma, n := tiny(8).Discount(); gamma != 0.99 || n != 1 || !reflect.DeepEqual(tiny(400, 300), Defaults()) {
		t.Errorf("%g, %d", gamma, n)
	}
}

// Ensure that a learner built to play has the actor alone, and acts as a whole one.
func TestPlay(t *testing.T) {
	whole := newTD3(t, enginetest.PureGo(t), tiny(6, 5), 3, 2, 4)
	played, err := New(tiny(6, 5), agents.Task{
		Backend: enginetest.PureGo(t), Spec: envbridge.Spec{ID: "test", Copies: 1, ObsDim: 3, ActDim: 2}, Seed: 9, Use: agents.ToPlay,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer played.Close()
	for v := range played.Store().IterVariables() {
		if !strings.HasPrefix(v.Path(), "/actor/") {
			t.Errorf("%s is left", v.Path())
		}
	}
	obs := []float32{1, 2, 3, -1, 0, 1}
	want, err := whole.Act(obs, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := agents.Adopt(played, whole.Store()); err != nil {
		t.Fatal(err)
	}
	if got, err := played.Act(obs, true); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	oracle, err := played.Oracle([]int{2})
	if err != nil {
		t.Fatal(err)
	}
	defer oracle.Close()
	if a, err := oracle.Ask(obs, true, 1, 0); err != nil || !slices.Equal(a.Action, want) || a.Value != nil {
		t.Errorf("%+v, %v", a, err)
	}
}
