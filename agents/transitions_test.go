package agents_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/python"
	"github.com/stein-rl/stein/replay"
)

// A rule acts by a formula of the observation alone, and learns nothing.
type rule struct{ obsDim, actDim int }

func (r rule) Act(obs []float32, _ bool) (action []float32, err error) {
	for ; len(obs) > 0; obs = obs[r.obsDim:] {
		action = append(action, r.of(obs[:r.obsDim])...)
	}
	return action, nil
}

// of is the action for one observation, different for any that differ much.
func (r rule) of(obs []float32) []float32 {
	sum := 0.0
	for i, x := range obs {
		sum += float64(i+1) * float64(x)
	}
	action := make([]float32, r.actDim)
	for i := range action {
		action[i] = float32(math.Sin(3*sum + float64(i)))
	}
	return action
}

func (rule) Update(*replay.Batch) (agents.Metrics, error) { return nil, nil }

// A stored transition is what a replay memory has of one step.
type stored struct {
	obs, action, next []float32
	reward            float32
	terminated, ended bool // ended is unknown of a copy's last transition: false
}

// recall are a memory's transitions by copy, in their order, after they were written to
// a file and read back.
func recall(t *testing.T, memory *replay.Uniform, c replay.Config) [][]stored {
	t.Helper()
	path := filepath.Join(t.TempDir(), "replay.bin")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := memory.Save(file); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	back, err := replay.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Load(file); err != nil {
		t.Fatal(err)
	}
	// Sampling is the one way to what a memory holds; so many draws miss none.
	var all replay.Batch
	if err := back.Sample(&all, 40*back.Len(), rand.New(rand.NewPCG(1, 2))); err != nil {
		t.Fatal(err)
	}
	rows := map[int64]int{}
	last := int64(0)
	for row, index := range all.Index {
		rows[index] = row
		last = max(last, index)
	}
	if len(rows) != memory.Len() {
		t.Fatalf("%d of %d transitions were drawn", len(rows), memory.Len())
	}
	copies := make([][]stored, c.Copies)
	before := make([]int64, c.Copies)
	for index := range last + 1 {
		row, ok := rows[index]
		if !ok { // an episode's last observation
			continue
		}
		copyOf := index % int64(c.Copies)
		if n := len(copies[copyOf]); n > 0 {
			copies[copyOf][n-1].ended = index-before[copyOf] > int64(c.Copies)
		}
		before[copyOf] = index
		copies[copyOf] = append(copies[copyOf], stored{
			obs: all.Obs[row*c.ObsDim : (row+1)*c.ObsDim], action: all.Action[row*c.ActDim : (row+1)*c.ActDim],
			next: all.Next[row*c.ObsDim : (row+1)*c.ObsDim], reward: all.Reward[row], terminated: all.Discount[row] == 0,
		})
	}
	return copies
}

// inGymnasium is what testdata/gymnasium_steps.py answers for one copy.
type inGymnasium struct {
	Obs, Next, Reward     []float32
	Terminated, Truncated []bool
}

// gymnasium does the actions of all copies in Gymnasium itself.
func gymnasium(t *testing.T, w envbridge.Worker, seed int64, copies [][]stored) (answer []inGymnasium) {
	t.Helper()
	asked := struct {
		Env      string        `json:"env"`
		MaxSteps int           `json:"max_steps"`
		Seed     int64         `json:"seed"`
		Actions  [][][]float32 `json:"actions"`
	}{w.Env, w.MaxSteps, seed, make([][][]float32, len(copies))}
	for i, one := range copies {
		for _, x := range one {
			asked.Actions[i] = append(asked.Actions[i], x.action)
		}
	}
	text, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	interpreter, err := python.Find("")
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), interpreter, "testdata/gymnasium_steps.py")
	run.Stdin, run.Stderr = bytes.NewReader(text), os.Stderr
	out, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// Ensure that the transitions that a run remembers are those of Gymnasium by the same
// seeds and actions, bit by bit, through ends of both kinds and the resets after them,
// and that each action is the one for the observation that it is stored with.
func TestTransitionsAgainstGymnasium(t *testing.T) {
	if testing.Short() {
		t.Skip("plays several environments")
	}
	for name, c := range map[string]struct {
		worker                envbridge.Worker
		steps                 int64
		terminates, truncates bool
	}{
		"terminating, 1 copy":   {envbridge.Worker{Env: "Hopper-v5"}, 200, true, false},
		"terminating, 4 copies": {envbridge.Worker{Env: "Hopper-v5", Copies: 4}, 600, true, false},
		"truncating, 1 copy":    {envbridge.Worker{Env: "Pendulum-v1"}, 450, false, true},
		"truncating, 4 copies":  {envbridge.Worker{Env: "Pendulum-v1", Copies: 2, Processes: 2, MaxSteps: 40}, 400, false, true},
		"both, 4 copies":        {envbridge.Worker{Env: "Hopper-v5", Copies: 4, MaxSteps: 12}, 400, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			const seed, random = 23, 40
			env, err := envbridge.Start(t.Context(), c.worker)
			if err != nil {
				t.Fatal(err)
			}
			defer env.Close()
			spec := env.Spec()
			shape := replay.Config{Capacity: 1000, Copies: spec.Copies, ObsDim: spec.ObsDim, ActDim: spec.ActDim, NStep: 1, Gamma: 0.9}
			memory, err := replay.New(shape)
			if err != nil {
				t.Fatal(err)
			}
			acting := rule{spec.ObsDim, spec.ActDim}
			loop := agents.Loop{
				Envs: []envbridge.Env{env}, Agent: acting, Buffer: memory, Steps: c.steps, Seed: 3, EnvSeed: seed,
				Schedule: agents.Schedule{BatchSize: 8, RandomSteps: random, LearningStarts: random, TrainEvery: 1, UpdateToData: 1, FusedUpdates: 1},
			}
			if err := loop.Train(t.Context()); err != nil {
				t.Fatal(err)
			}
			copies := recall(t, memory, shape)
			terminated, truncated := 0, 0
			for i, want := range gymnasium(t, c.worker, seed, copies) {
				for k, got := range copies[i] {
					want := want.step(k, spec.ObsDim)
					if k == len(copies[i])-1 {
						want.ended = false
					}
					if !same(got.obs, want.obs) || !same(got.next, want.next) || !same([]float32{got.reward}, []float32{want.reward}) ||
						got.terminated != want.terminated || got.ended != want.ended {
						t.Fatalf("copy %d, step %d: stored %+v, Gymnasium has %+v", i, k, got, want)
					}
					if k >= random/spec.Copies && !same(got.action, acting.of(got.obs)) {
						t.Fatalf("copy %d, step %d: action %v is stored with an observation whose action is %v", i, k, got.action, acting.of(got.obs))
					}
					switch {
					case got.terminated:
						terminated++
					case got.ended:
						truncated++
					}
				}
			}
			t.Logf("%d transitions, %d episodes terminated, %d truncated", memory.Len(), terminated, truncated)
			if memory.Len() != int(c.steps) || (terminated > 0) != c.terminates || (truncated > 0) != c.truncates {
				t.Errorf("%d transitions, %d episodes terminated, %d truncated", memory.Len(), terminated, truncated)
			}
		})
	}
}

// step is one of them, as a memory has it.
func (g inGymnasium) step(k, obsDim int) stored {
	from, to := k*obsDim, (k+1)*obsDim
	return stored{
		obs: g.Obs[from:to], next: g.Next[from:to], reward: g.Reward[k],
		terminated: g.Terminated[k], ended: g.Terminated[k] || g.Truncated[k],
	}
}

// same says whether two lists have the same bits.
func same(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}
