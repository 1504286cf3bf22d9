package experiments

import (
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/runs"
)

// A slope is a point that its action moves, paid for being high.
type slope struct{ at float32 }

func (*slope) Sizes() (obsDim, actDim int) { return 1, 1 }
func (*slope) MaxSteps() int               { return 15 }

func (s *slope) Reset(seed uint64, obs []float32) error {
	s.at = float32(seed%100) / 100
	obs[0] = s.at
	return nil
}

func (s *slope) Step(action, obs []float32) (reward float32, terminated bool, err error) {
	s.at = min(1, max(-1, s.at+0.2*action[0]))
	obs[0] = s.at
	return s.at, false, nil
}

// Ensure that every agent of the catalog trains, is evaluated while it does, resumes, is
// evaluated and acts without its environment, with observations that are normalised; in
// an environment of the program's own.
func TestEveryAgent(t *testing.T) {
	catalog := Builtin()
	catalog.Envs["slope"] = func() envbridge.Simulator { return &slope{} }
	for config, sets := range map[string][]string{
		"pendulum/sac": {"policy.hidden=[8]", "agent.critic.hidden=[8]"},
		"pendulum/td3": {"agent={actor: {hidden: [8]}, critic: {hidden: [8]}, noise: 0.3}"},
	} {
		t.Run(config, func(t *testing.T) {
			sets = append(sets, "env.id=go:slope", "env.copies=2", "env.workers=2", "seed=1", "steps=80", "eval={every: 40, episodes: 2}", "normalize.obs=true",
				"engine.backend="+engine.PureGo, "schedule={batch_size: 8, random_steps: 20, learning_starts: 20, train_every: 4, fused_updates: 4}")
			cfg, err := catalog.Resolve(config, sets)
			if err != nil {
				t.Fatal(err)
			}
			log := slog.New(slog.DiscardHandler)
			folder, err := runs.Create(filepath.Join(t.TempDir(), "run"), "", config, cfg)
			if err != nil {
				t.Fatal(err)
			}
			first, err := Training{Config: cfg, Folder: folder, Log: log}.Train(t.Context())
			if err != nil || first.Step != 80 || first.Best == nil || first.Final == nil {
				t.Fatalf("%+v, %v", first, err)
			}
			if cfg, err = catalog.Reread(folder.Dir, []string{"steps=120"}); err != nil {
				t.Fatal(err)
			}
			second, err := Training{Config: cfg, Folder: folder, Resume: true, Log: log}.Train(t.Context())
			if err != nil || second.Step != 120 || !(second.Last["train/n_updates"] > first.Last["train/n_updates"]) {
				t.Fatalf("%+v, %v", second, err)
			}
			if err := folder.Close(); err != nil {
				t.Fatal(err)
			}
			mark, err := catalog.Evaluate(t.Context(), Exam{Dir: folder.Dir, Episodes: 3, Log: log})
			if err != nil || len(mark.Returns) != 3 || mark.Lengths[0] != 15 {
				t.Fatalf("%+v, %v", mark, err)
			}
			again, err := catalog.Evaluate(t.Context(), Exam{Dir: folder.Dir, Episodes: 3, Log: log})
			if err != nil || !slices.Equal(mark.Returns, again.Returns) {
				t.Errorf("%v, then %v, %v", mark.Returns, again.Returns, err)
			}

			actor, err := catalog.OpenActor(enginetest.PureGo(t), folder.Dir, "last", log)
			if err != nil {
				t.Fatal(err)
			}
			defer actor.Close()
			if actor.Spec.ObsDim != 1 || actor.Spec.ActDim != 1 || actor.At.Step != 120 || actor.Norm == nil {
				t.Errorf("%+v", actor)
			}
			oracle, err := actor.Agent.(agents.Answerer).Oracle([]int{2})
			if err != nil {
				t.Fatal(err)
			}
			defer oracle.Close()
			obs := []float32{0.1, 0.7}
			answer, err := oracle.Ask(obs, true, 1, 1)
			if err != nil {
				t.Fatal(err)
			}
			acted, err := actor.Agent.Act(obs, true)
			if err != nil {
				t.Fatal(err)
			}
			for i := range acted {
				if math.Abs(float64(acted[i]-answer.Action[i])) > 1e-5 || answer.Value[i] == 0 {
					t.Errorf("acts %v, answers %+v", acted, answer)
				}
			}
		})
	}
}
